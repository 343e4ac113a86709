"""Names that are none, and stores whose client is missing, are refused before anything is done."""

import builtins
import importlib.util
import os
from unittest import mock

import pytest

from helpers import run
from melbeam.pipelines import diff, extract, report, show, verify


def import_without(name):
    """`__import__`, to which a package is not installed."""
    real = builtins.__import__

    def without(wanted, *others, **more):
        if wanted.partition(".")[0] == name:
            raise ImportError(f"No module named {name!r}")
        return real(wanted, *others, **more)

    return without


@pytest.mark.parametrize(
    ("job", "arguments", "said"),
    [
        (show, [""], "FOLDER is empty: name a folder [MB201]"),
        (show, ["/"], "FOLDER=/ is the root of a file system: name a folder below it [MB201]"),
        (diff, ["", "b"], "A is empty: name a folder [MB201]"),
        (diff, ["a", "//"], "B=// is the root of a file system: name a folder below it [MB201]"),
        (
            diff,
            ["a", os.fsdecode(b"caf\xe9")],
            r"B=b'caf\xe9' is not UTF-8, in which TensorFlow and Beam name files: rename it, or reach it by a "
            "link of another name [MB201]",
        ),
        (report, [""], "FOLDER is empty: name a folder [MB201]"),
        (report, ["features", "--output="], "--output is empty: name a file, or leave it out [MB103]"),
        (show, ["features", "--png="], "--png is empty: name a file, or leave it out [MB103]"),
    ],
)
def test_an_empty_name_is_refused(job, arguments, said):
    assert run(job, *arguments) == (2, f"melbeam: {said}\n")


def test_an_empty_split_is_not_the_default_one(made):
    for job, folders in ((show, [made()]), (diff, [made(), made()])):
        ran = run(job, *folders, "--split=")
        assert (ran.status, "split '': '' is no name of a split" in ran.text) == (2, True), ran.text


def test_a_page_in_place_of_a_folder_names_that_folder(made, tmp_path):
    ran = run(report, made(), f"--output={tmp_path}")
    assert ran == (2, f"melbeam: {tmp_path}: Is a directory: it is a folder: name a file [MB603]\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(importlib.util.find_spec("boto3") is not None, reason="the client is installed")
@pytest.mark.parametrize(
    ("job", "arguments"),
    [
        (report, ["s3://bucket/features"]),
        (verify, ["s3://bucket/features"]),
        (extract, ["--input=s3://bucket/audio/*", "--output=features"]),
    ],
)
def test_a_store_whose_client_is_missing_to_beam(job, arguments):
    ran = run(job, *arguments)
    assert ran.status == 2
    assert "s3:// cannot be read or written here: pip install '.[aws]'" in ran.text
    assert ran.text.endswith("[MB604]\n")


@pytest.mark.parametrize(("scheme", "client", "extra"), [("s3", "boto3", "aws"), ("gs", "google", "gcp")])
def test_a_store_whose_client_is_missing_to_readers(scheme, client, extra):
    with mock.patch("builtins.__import__", import_without(client)):
        ran = run(show, f"{scheme}://bucket/features")
    assert ran.status == 2
    assert f"{scheme}:// needs its client: pip install 'melbeam[{extra}]' [MB604]" in ran.text


def test_a_split_of_no_records_says_where_they_are(made, copied):
    folder = copied(made())
    # The records of the split become none, as where each was turned away.
    for path in folder.glob("*.tfrecord"):
        path.write_bytes(b"")
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace('"2"', '"0"').replace('"1"', '"0"'))
    for arguments, status in (([], 0), (["#0"], 2), (["clip-1"], 2)):
        ran = run(show, folder, *arguments)
        assert ran.status == status
        assert f"{folder}: the split has no records; `melbeam rejects {folder}` says what was" in ran.text
