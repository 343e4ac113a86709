"""The one room for names that other packages keep private, or promise nothing about.

A release of theirs may move or drop such a name without a word. `MADE_FOR` says which release each was read in;
a test resolves them all, so that a newer release breaks there and not in a job.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

# Module, name in it, and the package and the release in whose source it was read.
MADE_FOR = (
    ("apache_beam.io.filesystems", "FileSystems._pipeline_options", "apache-beam", "2.77.0"),
    ("apache_beam.io.filesystem", "FileSystem._list", "apache-beam", "2.77.0"),
    ("apache_beam.io.gcp.gcsio", "GcsIO.delete_batch", "apache-beam[gcp]", "2.77.0"),
    ("apache_beam.io.gcp.gcsio", "parse_gcs_path", "apache-beam[gcp]", "2.77.0"),
    ("apache_beam.io.aws.s3io", "parse_s3_path", "apache-beam[aws]", "2.77.0"),
    ("apache_beam.io.aws.clients.s3.boto3_client", "Client", "apache-beam[aws]", "2.77.0"),
)


def ensure_store_options() -> None:
    """Gives Beam's file systems options where no pipeline has: S3's has no default and would fail without."""
    if FileSystems._pipeline_options is None:
        FileSystems.set_options(PipelineOptions([]))


def list_files(file_system: Any, start: str) -> Iterator[Any]:
    """Metadata of the files whose paths begin so, or that lie below that folder where there are folders.

    Beam's public `match` ends the beginning that it lists by at the first `[`, `*` or `?`, literal ones too.
    """
    return file_system._list(start)


def delete_from_gcs(paths: list[str]) -> None:
    """Deletes gs:// objects by their literal names; one that is gone is no error.

    Raises:
        OSError: with a status of the store as its cause's `code`.
    """
    for path, status in _gcs().delete_batch(paths):
        if status is not None:
            raise _StatusError(f"{path} was not deleted: status {status}", status)


def put_empty_s3_object(path: str) -> None:
    """Writes an object of no bytes: Beam would upload it in parts, and S3 refuses an upload of no parts."""
    client, place = _s3(path)
    client.put_object(**place, Body=b"")


def read_version(path: str) -> tuple[bytes, Any] | None:
    """A gs:// or s3:// object's bytes, and its generation or ETag; None where there is none.

    Raises:
        NotImplementedError: it is another store.
    """
    if path.startswith("gs://"):
        blob = _gcs_blob(path)
        from google.cloud.exceptions import NotFound

        try:
            data = blob.download_as_bytes()
        except NotFound:
            return None
        return data, blob.generation
    if path.startswith("s3://"):
        client, place = _s3(path)
        try:
            answer = client.get_object(**place)
        except client.exceptions.NoSuchKey:
            return None
        return answer["Body"].read(), answer["ETag"]
    raise NotImplementedError(path)


def write_version(path: str, data: bytes, version: Any) -> None:
    """Writes a gs:// or s3:// object if it still has that generation or ETag, or, for None, if there is none.

    Raises:
        NotImplementedError: it is another store, or its client knows no conditions.
        Exception: the client's own, status 412, where the condition does not hold.
    """
    if path.startswith("gs://"):
        # With a condition a request that was tried again may meet its own first try, and be refused.
        _gcs_blob(path).upload_from_string(data, if_generation_match=version or 0)
    elif path.startswith("s3://"):
        client, place = _s3(path)
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        from botocore.exceptions import ParamValidationError

        try:
            client.put_object(**place, Body=data, **condition)
        except ParamValidationError as error:
            raise NotImplementedError(f"this boto3 knows no {', '.join(condition)}") from error
    else:
        raise NotImplementedError(path)


class _StatusError(OSError):
    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def _gcs() -> Any:
    from apache_beam.io.gcp.gcsio import GcsIO  # part of the extra `gcp`

    return GcsIO(pipeline_options=FileSystems._pipeline_options)


def _gcs_blob(path: str) -> Any:
    from apache_beam.io.gcp.gcsio import parse_gcs_path  # part of the extra `gcp`

    bucket, name = parse_gcs_path(path)
    return _gcs().client.bucket(bucket).blob(name)


def _s3(path: str) -> tuple[Any, dict[str, str]]:
    """The client of boto3 that Beam's options give, and where the object lies."""
    from apache_beam.io.aws.clients.s3.boto3_client import Client  # part of the extra `aws`
    from apache_beam.io.aws.s3io import parse_s3_path

    bucket, key = parse_s3_path(path)
    return Client(FileSystems._pipeline_options).client, {"Bucket": bucket, "Key": key}
