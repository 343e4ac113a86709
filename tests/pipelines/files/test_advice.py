"""What is said of paths that no file system here takes, and of errors of stores; tests/engines has real ones."""

from importlib.util import find_spec

import pytest
from apache_beam.io.filesystem import BeamIOError

from melbeam.pipelines import extract, files, ingest
from melbeam.pipelines.files.stores import with_advice


class StoresError(Exception):
    def __init__(self, code):
        super().__init__(f"{code}\n  of the store")
        self.code = code


@pytest.mark.parametrize("error", [StoresError(403), BeamIOError("List failed", {"gs://b/x": StoresError(403)})])
def test_a_refusal_says_what_to_grant(error):
    with (
        pytest.raises(
            PermissionError, match=r"gs://b/x: .* grant roles/storage.objectUser .* on gs://b .*403"
        ) as told,
        with_advice("gs://b/x"),
    ):
        raise error
    assert "\n" not in str(told.value)


def test_other_errors_of_a_store():
    with (
        pytest.raises(FileNotFoundError, match=r"s3://b/x: .* correct the path, or make s3://b"),
        with_advice("s3://b/x"),
    ):
        raise BeamIOError("Rename failed", {("s3://b/x", "s3://b/y"): 404})
    with pytest.raises(PermissionError, match="s3:PutObject"), with_advice("s3://b/x"):
        raise RuntimeError("Unable to locate credentials")
    with pytest.raises(OSError, match="gs://b/x: StoresError: 503 of the store"), with_advice("gs://b/x"):
        raise StoresError(503)


@pytest.mark.parametrize(("scheme", "client", "extra"), [("gs", "google.api_core", "gcp"), ("s3", "boto3", "aws")])
@pytest.mark.parametrize("ask", [files.open_file, files.read_bytes, files.create_file, files.exists, files.state])
def test_a_store_without_its_client_says_what_to_install(scheme, client, extra, ask):
    if find_spec(client) is not None:
        pytest.skip(f"{client} is installed; the quick tests' environment has it not")
    with pytest.raises(files.NoFileSystem, match=rf"{scheme}://b/x: .* pip install '.\[{extra}\]'"):
        ask(f"{scheme}://b/x")


@pytest.mark.parametrize("job", [extract, ingest])
def test_a_scheme_that_nothing_here_takes(job, capfd):
    assert job.main(["--input=elsewhere://b/x", "--output=elsewhere://b/y"]) == 2
    assert "elsewhere:// cannot be read or written here" in capfd.readouterr().err
