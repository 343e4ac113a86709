"""Files of this machine's file systems, network ones included; every path is literal.

A rename makes a whole file appear under its final name or not at all, whatever becomes of the process. So that the
same holds when the machine loses its power, what is renamed is first written through to the disk, and the folder
that names it afterwards.

What goes wrong is told with the file's path, where the system's own errors, of a full disk or a bad sector, say
none.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from melbeam.pipelines.files.globs import compile_glob, literal_path

# A glob may come upon these, which are no files.
LINK_TO_FOLDER = "link to a folder, which is not entered"
_DANGLING_LINK = "link that leads to nothing"
_NO_FILE = "pipe, socket or device"
# The answers of file systems that have no fsync, or none of folders.
_CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)


class _File(io.FileIO):
    """A file without a buffer, whose errors have its path."""

    def readinto(self, buffer: Any, /) -> int:
        with _errors_naming(self.name):
            return super().readinto(buffer)

    def read(self, size: int | None = -1, /) -> bytes:
        with _errors_naming(self.name):
            return super().read(size)

    def readall(self) -> bytes:
        with _errors_naming(self.name):
            return super().readall()

    def write(self, data: Any, /) -> int:
        with _errors_naming(self.name):
            return super().write(data)

    def close(self) -> None:
        with _errors_naming(self.name):
            super().close()  # a file system of the network may say only now that it is full


@contextmanager
def _errors_naming(path: Any) -> Iterator[None]:
    """Gives the path to errors of the operating system that name none."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = path
        raise


def open_file(path: str) -> BinaryIO:
    """The file, open for reading.

    Raises:
        OSError: it is not there, or is no file: a pipe would be waited for, for ever.
    """
    return io.BufferedReader(_opened(path))


def _opened(path: str) -> _File:
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # of a folder the system says so itself
        raise OSError(errno.ENODEV, "it is no file, but a pipe, a socket or a device", path)
    return _File(path)


def read_range(path: str, offset: int, size: int) -> bytes:
    """The bytes of a file from an offset on, fewer at its end."""
    with _opened(path) as file:
        file.seek(offset)
        parts: list[bytes] = []
        while size and (part := file.read(size)):
            parts.append(part)
            size -= len(part)
    return b"".join(parts)


def create_file(path: str) -> BinaryIO:
    """The file, open for writing; the folders that it lies in are made."""
    make_folder(os.path.dirname(path))
    return io.BufferedWriter(_File(path, "w"))


def exists(path: str) -> bool:
    """Whether there is such a file or folder."""
    return os.path.exists(path)


def state(path: str) -> tuple[int, str] | None:
    """The file's size, and no checksum: a disk keeps none; None where there is no such file."""
    try:
        return os.stat(path).st_size, ""
    except (FileNotFoundError, NotADirectoryError):
        return None


def match(glob: str) -> Iterator[tuple[str, int]]:
    """Paths and sizes of the files that a glob names; folders, devices and dangling links are none.

    Raises:
        PermissionError: a folder that may hold such files cannot be listed.
    """
    is_named = compile_glob(glob).fullmatch
    for path in _candidates("", glob.split("/"), os.path.isfile):
        if is_named(path):
            with suppress(FileNotFoundError):  # it was removed since
                yield path, os.path.getsize(path)


def not_matched(glob: str) -> Iterator[tuple[str, str]]:
    """Yields what lies where a glob's files lie and is none for `match`, with what it is in words.

    Folders behind links, in which nothing is looked for, are told where `**` asks for all that is below.
    """
    is_named = compile_glob(glob).fullmatch
    for path in _candidates("", glob.split("/"), lambda path: not os.path.isfile(path)):
        if os.path.isdir(path):
            if "**" in glob and os.path.islink(path):
                yield path, LINK_TO_FOLDER
        elif is_named(path):
            yield path, _DANGLING_LINK if os.path.islink(path) and not os.path.exists(path) else _NO_FILE


def _candidates(folder: str, segments: list[str], is_wanted: Callable[[str], bool]) -> Iterator[str]:
    """What is wanted below a folder, "" or with its slash, and that a glob of these segments may name."""
    first, rest = segments[0], segments[1:]
    name = literal_path(first)
    if "**" in first:
        yield from _all_below(folder, is_wanted)
    elif name is None:
        is_named = compile_glob(first).fullmatch
        for entry in _entries(folder):
            path = folder + entry.name
            if not is_named(entry.name):
                continue
            if not rest and is_wanted(path):
                yield path
            elif rest and os.path.isdir(path):
                yield from _candidates(f"{path}/", rest, is_wanted)
    elif rest:
        yield from _candidates(f"{folder}{name}/", rest, is_wanted)
    elif is_wanted(folder + name):
        yield folder + name


def _all_below(folder: str, is_wanted: Callable[[str], bool]) -> Iterator[str]:
    for entry in _entries(folder):
        path = folder + entry.name
        if entry.is_dir(follow_symlinks=False):  # a link to a folder above would be followed for ever
            yield from _all_below(f"{path}/", is_wanted)
        elif is_wanted(path):
            yield path


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder or ".") as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def rename(source: str, target: str, *, sync: bool) -> None:
    """Gives a file another name, over a file of that name; with `sync` a power cut leaves one of the two whole."""
    if sync:
        _sync(source, os.O_RDWR)  # some systems sync only what is open for writing
    os.replace(source, target)
    if sync:
        _sync(os.path.dirname(target) or ".", os.O_RDONLY)


def delete(paths: list[str]) -> None:
    """Deletes those of the files that there are."""
    for path in paths:
        with suppress(FileNotFoundError):
            os.remove(path)


def make_folder(path: str) -> list[str]:
    """Makes a folder and those above it; gives those that were not there, the outermost first."""
    made: list[str] = []
    missing = path
    while missing and not os.path.isdir(missing):
        made.insert(0, missing)
        missing = os.path.dirname(missing.rstrip("/"))
    if path:
        os.makedirs(path, exist_ok=True)
    for folder in made:
        _sync(os.path.dirname(folder.rstrip("/")) or ".", os.O_RDONLY)
    return made


def remove_empty_folders(paths: list[str]) -> None:
    """Removes those of the folders that are empty, the last one first."""
    for path in reversed(paths):
        with suppress(OSError):  # it is gone, or something lies in it
            os.rmdir(path)


def _sync(path: str, flags: int) -> None:
    """Returns when the file's bytes, or the folder's names, are on the disk.

    Raises:
        OSError: the disk could not write them.
    """
    try:
        descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    except (IsADirectoryError, PermissionError):  # a folder that may be written but not read, say
        return
    try:
        with _errors_naming(path):
            os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)
