"""Files on a disk: which a glob finds, what is deleted, and in which order things reach the disk."""

import errno
import os

import pytest

from melbeam.pipelines import files
from melbeam.pipelines.files import local

NAMES = ["a[1]", "b*", "c?d", "[!x]", "new [x]", "é", "-rf", "~", "a\\b", "x y"]


def touch(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize("name", NAMES)
def test_every_path_is_literal(tmp_path, name):
    """Beside what these names would find as globs."""
    beside = [tmp_path / other / "file" for other in ("a1", "bb", "cxd", "y", "new x", "ab")]
    for path in beside:
        touch(path)
    path = f"{tmp_path}/{name}/{name}"
    files.ensure_folder(path)
    files.write_bytes(path, b"1")
    files.rename(path, f"{path}2")
    assert (files.exists(path), files.read_bytes(f"{path}2")) == (False, b"1")
    files.delete([path, f"{path}2"])
    assert not os.listdir(f"{tmp_path}/{name}")
    files.remove_empty_folders([f"{tmp_path}/{name}"])
    assert not os.path.exists(f"{tmp_path}/{name}")
    assert all(path.read_bytes() == b"x" for path in beside)


def test_relative_globs_find_their_files(tmp_path, monkeypatch):
    for name in ("train-1", "train-2", "deep/train-3", "deep/deeper/train-4", "other"):
        touch(tmp_path / name, b"12")
    monkeypatch.chdir(tmp_path)

    def found(glob):
        return [path for path, _ in files.match(glob)]

    assert found("train*") == ["train-1", "train-2"]
    assert found("./train*") == ["./train-1", "./train-2"]
    assert found("*/train*") == ["deep/train-3"]
    assert found("**/train*") == ["deep/deeper/train-4", "deep/train-3", "train-1", "train-2"]
    assert found("**") == ["deep/deeper/train-4", "deep/train-3", "other", "train-1", "train-2"]
    assert found("deep/") == found("deep/*") == ["deep/train-3"]
    assert found("deep") == []
    assert found("other") == ["other"]
    assert files.match("other") == [("other", 2)]
    assert found("nowhere/*") == found("other/*") == found("") == []


def test_links_are_followed_but_not_for_ever(tmp_path):
    touch(tmp_path / "there/file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/link").symlink_to(tmp_path / "there")
    (tmp_path / "folder/up").symlink_to(tmp_path / "folder")
    (tmp_path / "folder/dangling").symlink_to(tmp_path / "gone")
    (tmp_path / "folder/of_a_file").symlink_to(tmp_path / "there/file")
    assert [path for path, _ in files.match(f"{tmp_path}/folder/*/file")] == [f"{tmp_path}/folder/link/file"]
    assert [path for path, _ in files.match(f"{tmp_path}/folder/**")] == [f"{tmp_path}/folder/of_a_file"]


def test_what_no_glob_finds_is_told(tmp_path):
    touch(tmp_path / "there/file.wav")
    (tmp_path / "folder/in").mkdir(parents=True)
    (tmp_path / "folder/in/link").symlink_to(tmp_path / "there")
    (tmp_path / "folder/in/dangling.wav").symlink_to("nothing")
    (tmp_path / "folder/in/circle.wav").symlink_to("circle.wav")
    (tmp_path / "folder/in/device.wav").symlink_to(os.devnull)
    os.mkfifo(tmp_path / "folder/in/pipe.wav")
    (tmp_path / "folder/in/folder.wav").mkdir()
    told = {
        "circle.wav": "link that leads to nothing",
        "dangling.wav": "link that leads to nothing",
        "device.wav": "pipe, socket or device",
        "link": files.LINK_TO_FOLDER,
        "pipe.wav": "pipe, socket or device",
    }
    for glob in ("folder/**", "folder/**/*.wav"):
        assert {os.path.basename(path): what for path, what in files.not_matched(f"{tmp_path}/{glob}")} == told
    del told["link"]  # here a folder is no more than its link
    for glob in ("folder/in/*", "folder/*/*.wav", "folder/in/"):
        assert {os.path.basename(path): what for path, what in files.not_matched(f"{tmp_path}/{glob}")} == told


def test_what_is_no_file_is_not_waited_for(tmp_path):
    """A pipe that a manifest names, say."""
    os.mkfifo(tmp_path / "pipe")
    for path in (f"{tmp_path}/pipe", os.devnull):
        with pytest.raises(OSError, match="it is no file, but a pipe") as raised:
            files.open_file(path)
        assert raised.value.filename == path


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device is as full as Linux's")
class TestTheSystemsErrorsAreToldWithTheirPath:
    """Those of a full disk and of a bad sector name none."""

    @pytest.mark.parametrize("size", [1, 1 << 20])
    def test_of_a_full_disk(self, size):
        with (
            pytest.raises(OSError, match="No space left on device: '/dev/full'"),
            files.create_file("/dev/full") as file,
        ):
            file.write(bytes(size))

    @pytest.mark.parametrize(
        "read",
        [
            files.read_bytes,
            lambda path: files.read_range(path, 0, 9),
            lambda path: files.open_file(path).read(9),
            lambda path: files.open_file(path).readinto(bytearray(1 << 20)),
        ],
    )
    def test_of_what_cannot_be_read(self, read):
        with pytest.raises(OSError, match="Input/output error: '/proc/self/mem'"):
            read("/proc/self/mem")

    def test_of_what_cannot_be_written_through(self, tmp_path, monkeypatch):
        def full(descriptor):
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"quota exceeded: '.*/a.*tmp'"):
            files.write_bytes(f"{tmp_path}/a", b"x")
        assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_cannot_be_listed_is_not_left_out(tmp_path):
    touch(tmp_path / "closed/file")
    (tmp_path / "closed").chmod(0)
    try:
        for glob in ("*/*", "**"):
            with pytest.raises(PermissionError, match="closed"):
                files.match(f"{tmp_path}/{glob}")
    finally:
        (tmp_path / "closed").chmod(0o755)


def test_users_brackets_are_meant_literally_where_they_name_something_so(tmp_path, monkeypatch):
    for name in ("o[1]/a", "o1/a", "p [v1]/b", "p [v1]/c", "a[1].wav", "a1.wav", "d1.wav"):
        touch(tmp_path / name)
    monkeypatch.chdir(tmp_path)

    def found(glob):
        return [path for path, _ in files.find_input(glob)]

    assert found("p [v1]/*") == ["p [v1]/b", "p [v1]/c"]
    assert found("a[1].wav") == ["a[1].wav"]
    assert found("d[1].wav") == ["d1.wav"]
    assert found("o[12]/*") == ["o1/a"]
    assert found("o[[]1]/*") == ["o[1]/a"]


def test_a_name_stands_for_bytes_that_are_on_the_disk(tmp_path, monkeypatch):
    """What a power cut leaves is what had been synced: the file before it gets its name, the name afterwards."""
    events, of_descriptor = [], {}
    open_, fsync, replace = os.open, os.fsync, os.replace

    def record_open(path, *arguments, **options):
        descriptor = open_(path, *arguments, **options)
        of_descriptor[descriptor] = str(path)
        return descriptor

    def record_fsync(descriptor):
        events.append(("sync", of_descriptor[descriptor]))
        fsync(descriptor)

    def record_replace(source, target):
        assert os.path.getsize(source) == 5, "it was renamed before all its bytes were written"
        events.append(("rename", str(target)))
        replace(source, target)

    monkeypatch.setattr(local.os, "open", record_open)
    monkeypatch.setattr(local.os, "fsync", record_fsync)
    monkeypatch.setattr(local.os, "replace", record_replace)
    path = f"{tmp_path}/new/folder/file"
    files.write_bytes(path, b"whole")
    made, (synced, half_written), renamed, named = events[:2], *events[2:]
    assert made == [("sync", str(tmp_path)), ("sync", f"{tmp_path}/new")]
    assert (synced, half_written.startswith(f"{path}.")) == ("sync", True)
    assert (renamed, named) == (("rename", path), ("sync", f"{tmp_path}/new/folder"))
    events.clear()
    files.write_bytes(path, b"whole", sync=False)
    assert events == [("rename", path)]


def test_a_disk_that_cannot_write_is_told(tmp_path, monkeypatch):
    def failing(descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(local.os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output error"):
        files.write_bytes(f"{tmp_path}/file", b"x")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"\0\0\0", b'{"hash": "12', b"\xff"])
def test_a_torn_file_is_named(tmp_path, content):
    path = tmp_path / "job.json"
    path.write_bytes(content)
    with pytest.raises(files.TornFile, match=rf"job.json is torn \({len(content)} bytes"):
        files.read_json(str(path))


def test_a_range_of_a_file_is_read(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    assert files.read_range(f"{tmp_path}/file", 3, 4) == b"3456"
    assert files.read_range(f"{tmp_path}/file", 8, 4) == b"89"
    assert files.read_range(f"{tmp_path}/file", 3, 0) == b""
