"""A job that cannot write where it was told to is refused before it does anything."""

import os
import subprocess

import pytest

from melbeam.pipelines import files

GIVEN = "--output=x"


@pytest.mark.parametrize(
    ("given", "path"), [("out/", "out"), ("/a//", "/a"), ("gs://b/", "gs://b"), ("a b [c]", "a b [c]"), (".", ".")]
)
def test_a_folder_goes_without_the_slashes_at_its_end(given, path):
    assert files.folder_path(given, "--output") == path


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("missing/../out", "out"),
        ("./a/b/.././../out", "out"),
        ("../out", "../out"),
        ("./../out/..x", "./../out/..x"),
        ("link/../out", "there/out"),
        ("gs://b/a/../out", "gs://b/a/../out"),
    ],
)
def test_a_way_back_leaves_no_folder_behind(tmp_path, monkeypatch, given, path):
    (tmp_path / "there/below").mkdir(parents=True)
    (tmp_path / "link").symlink_to("there/below")
    monkeypatch.chdir(tmp_path)
    assert files.folder_path(given, "--output") == path


@pytest.mark.parametrize("given", ["", " ", "/", "//", "gs://", "s3:///", "a\0b"])
def test_what_is_no_folder(given):
    with pytest.raises(files.BadFolder, match="--output"):
        files.folder_path(given, "--output")


@pytest.mark.parametrize("below", ["", "/deeper", "/deeper/_melbeam/train"])
def test_a_file_stands_in_the_way(tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(files.BadFolder, match=f"{GIVEN}: {tmp_path}/file is a file, not a folder"):
        files.check_writable(f"{tmp_path}/file{below}", given=GIVEN)
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(files.BadFolder, match="is a link to nothing"):
        files.check_writable(f"{tmp_path}/link{below}", given=GIVEN)


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(files.BadFolder, match="longer than the 255 bytes"):
        files.check_writable(f"{tmp_path}/{'é' * 128}/x", given=GIVEN)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights of POSIX")
def test_nothing_may_be_written_there(tmp_path):
    """As root, who may write anywhere, into a file system that is mounted to be read."""
    closed, mounted = tmp_path / "closed", False
    closed.mkdir()
    if os.geteuid() == 0:
        command = ["mount", "-t", "tmpfs", "-o", "ro", "melbeam-test", str(closed)]
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        if not mounted:
            pytest.skip("root, and no right to mount")
    else:
        closed.chmod(0o555)
    try:
        for path in (closed, closed / "new" / "deeper"):
            with pytest.raises(files.BadFolder, match=f"{GIVEN}: nothing may be written into {closed}"):
                files.check_writable(str(path), given=GIVEN)
    finally:
        if mounted:
            subprocess.run(["umount", str(closed)], check=True)
        closed.chmod(0o755)


def test_what_can_be_made_is_not_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.check_writable(f"{tmp_path}/a/b/c", "a/b", "a", ".", "gs://bucket/anything", given=GIVEN)
    assert not list(tmp_path.iterdir())
