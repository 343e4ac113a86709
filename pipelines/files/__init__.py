"""Files on any of Beam's file systems: small ones whole, large ones as streams; errors that say what to do.

Every path is literal, whatever characters it has; only `match` and `find_input` take globs (`globs`).
"""

from __future__ import annotations

import json
import os
import uuid
from contextlib import suppress
from glob import escape
from typing import Any

from melbeam.pipelines.files import local, output, stores
from melbeam.pipelines.files.globs import with_literal_brackets
from melbeam.pipelines.files.local import LINK_TO_FOLDER
from melbeam.pipelines.files.stores import NoFileSystem
from melbeam.pipelines.folder_names import BadFolder, folder_path
from melbeam.transforms.folder_layout import HALF_WRITTEN, file_name, parent
from melbeam.transforms.reading.storage import is_local

__all__ = ["LINK_TO_FOLDER", "BadFolder", "NoFileSystem", "folder_path", "is_local"]

# Requests to a store at once, where files are read ahead: each takes tens of milliseconds, whatever its size.
FETCHES_AT_ONCE = 8
# Likewise, where they are small: reports, and questions for a file's size and checksum.
REQUESTS_AT_ONCE = 16


class TornFile(ValueError):
    """A small file is there, but holds only a part of what was written, or zeros, or nothing."""


def check_scheme(path: str) -> None:
    """Refuses a path of a scheme that nothing here reads, without asking any store.

    Raises:
        NoFileSystem: with what to install, if that helps.
    """
    if not is_local(path):
        stores.check_scheme(path)


def full_path(path: str) -> str:
    """The path with all folders in it, that of the working directory too."""
    return os.path.abspath(path) if is_local(path) else path


def open_file(path: str) -> Any:
    """The file, open for reading bytes as they are, never decompressed."""
    return local.open_file(path) if is_local(path) else stores.open_file(path)


def create_file(path: str) -> Any:
    """The file, open for writing bytes; an object store shows it once it is closed."""
    return local.create_file(path) if is_local(path) else stores.create_file(path)


def read_bytes(path: str) -> bytes:
    """The whole file, as it is, never decompressed."""
    if not is_local(path):
        return stores.read_bytes(path)
    with local.open_file(path) as file:
        return file.read()


def write_bytes(path: str, data: bytes, *, half_written_in: str | None = None, sync: bool = True) -> None:
    """Writes the whole file or none of it.

    A local file is written under another name, ending in .tmp, and renamed; an object store shows a file only
    when it is whole.

    Args:
        path: of the file.
        data: all of it.
        half_written_in: the folder, of the same file system, of the other name; else the file's own.
        sync: whether a power cut, too, must leave the whole file or none.
    """
    target = path
    if is_local(path):
        start = f"{half_written_in}/{file_name(path)}" if half_written_in else path
        target = f"{start}.{uuid.uuid4().hex[:8]}{HALF_WRITTEN}"
    try:
        with create_file(target) as file:
            file.write(data)
        if target != path:
            rename(target, path, sync=sync)
    except OSError:
        with suppress(OSError):  # what went wrong first is told
            delete([target] if target != path else [])
        raise


def read_range(path: str, offset: int, size: int) -> bytes:
    """The bytes of a file from an offset on, fewer at its end, and no more of it than these."""
    return local.read_range(path, offset, size) if is_local(path) else stores.read_range(path, offset, size)


def read_json(path: str) -> Any:
    """The file's JSON value.

    Raises:
        TornFile: it is no JSON.
        OSError: it is not there, or cannot be read.
    """
    data = read_bytes(path)
    try:
        return json.loads(data)
    except ValueError as error:
        raise TornFile(
            f"{path} is torn ({len(data)} bytes, {error}), as a power cut or a damaged disk leaves a file"
        ) from error


def write_json(path: str, value: Any, *, half_written_in: str | None = None, sync: bool = True) -> None:
    """`write_bytes` of JSON with sorted names, so that equal values are equal bytes."""
    data = (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
    write_bytes(path, data, half_written_in=half_written_in, sync=sync)


def match(glob: str) -> list[tuple[str, int]]:
    """Paths and sizes in bytes of the files that a glob names, sorted by path; with a slash at its end, all there.

    Raises:
        PermissionError: a folder that may hold such files cannot be listed.
    """
    whole = f"{glob}*" if glob.endswith("/") else glob
    return sorted(local.match(whole) if is_local(glob) else stores.match(whole))


def find_input(glob: str) -> list[tuple[str, int]]:
    """`match` for what a user wrote: the name of a file that is there means that file, even if it has brackets.

    A glob that names no file is tried once more with its `[` meant literally: `features [v1]/train-*`.
    """
    if "[" not in glob:  # what has no brackets names itself, too
        return match(glob)
    return match(escape(glob)) or match(glob) or match(with_literal_brackets(glob))


def not_matched(glob: str) -> list[tuple[str, str]]:
    """Lists what lies where `match` looks and is no file, sorted by path, with what it is in words.

    These are links that lead to nothing, pipes, sockets and devices; and, below `**`, links to folders, which
    `match` does not enter, for they may lead in a circle.
    """
    return sorted(local.not_matched(f"{glob}*" if glob.endswith("/") else glob)) if is_local(glob) else []


def exists(path: str) -> bool:
    """Whether there is such a file."""
    return local.exists(path) if is_local(path) else stores.exists(path)


def state(path: str) -> tuple[int, str] | None:
    """A file's size in bytes and the store's own checksum of it, without reading it; None where there is none.

    A local file has no checksum of its own: "".
    """
    return local.state(path) if is_local(path) else stores.state(path)


def rename(source: str, target: str, *, sync: bool = True) -> None:
    """Gives a file another name, over a file of that name; a store without rename copies, then deletes.

    Args:
        source: the file.
        target: its new name, on the same file system.
        sync: whether, after a power cut, the new name must stand for the whole file or not be there.
    """
    if is_local(target):
        local.rename(source, target, sync=sync)
    else:
        stores.rename(source, target)


def delete(paths: list[str]) -> None:
    """Deletes those of the files, all of one file system, that there are; never a folder."""
    if paths:
        (local if is_local(paths[0]) else stores).delete(paths)


def check_writable(*folders: str, given: str) -> None:
    """Returns if files can be made in folders, which may not be there yet; makes nothing. A store is not asked.

    Args:
        folders: as `folder_path` gives them, or below.
        given: the argument that asks for them, `--output=...`, for the message.

    Raises:
        BadFolder: a file stands in the way, or nothing may be written there.
    """
    for folder in folders:
        if is_local(folder):
            output.check_writable(folder, given)


def ensure_folder(path: str) -> list[str]:
    """Makes the folder that the file lies in, where the file system has folders; gives those that it made."""
    return local.make_folder(parent(path)) if is_local(path) and "/" in path else []


def remove_empty_folders(paths: list[str]) -> None:
    """Removes those of the folders that are empty, the last one first, where the file system has folders."""
    local.remove_empty_folders([path for path in paths if is_local(path)])


def read_with_version(path: str) -> tuple[bytes, Any] | None:
    """A store's file, and which version of it was read, for `write_if_version`; None where there is none.

    Raises:
        NotImplementedError: the store tells no versions.
    """
    return stores.read_version(path)


def write_if_version(path: str, data: bytes, version: Any) -> bool:
    """Writes a store's file if it still is that version, or, for None, if there is none; says whether it did.

    Raises:
        NotImplementedError: the store knows no such condition.
    """
    return stores.write_version(path, data, version)
