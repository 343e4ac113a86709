"""Small files on any of Beam's file systems: whole reads, atomic writes."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from typing import Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems


def is_local(path: str) -> bool:
    """Whether the path is on this machine's file system."""
    return "://" not in path


def read_bytes(path: str) -> bytes:
    """The whole file, as it is, never decompressed."""
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        return file.read()


def write_bytes(path: str, data: bytes, *, half_written_in: str | None = None) -> None:
    """Writes the whole file or none of it.

    A local file is written under another name, ending in .tmp, and renamed; an object store shows a file only
    when it is whole.

    Args:
        path: of the file.
        data: all of it.
        half_written_in: the folder, of the same file system, of the other name; else the file's own.
    """
    target = path
    if is_local(path):
        start = f"{half_written_in}/{path.rsplit('/', 1)[-1]}" if half_written_in else path
        target = f"{start}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        with FileSystems.create(target, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            file.write(data)
        if target != path:
            FileSystems.rename([target], [path])
    except OSError:
        with suppress(OSError):  # what went wrong first is told
            delete([target] if target != path else [])
        raise


def read_json(path: str) -> Any:
    """The file's JSON value."""
    return json.loads(read_bytes(path))


def write_json(path: str, value: Any, *, half_written_in: str | None = None) -> None:
    """`write_bytes` of JSON with sorted names, so that equal values are equal bytes."""
    data = (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
    write_bytes(path, data, half_written_in=half_written_in)


def match(pattern: str) -> list[tuple[str, int]]:
    """Paths and sizes in bytes of the files that a glob names, sorted by path."""
    (result,) = FileSystems.match([pattern])
    return sorted((found.path, found.size_in_bytes) for found in result.metadata_list)


def exists(path: str) -> bool:
    """Whether there is such a file."""
    return FileSystems.exists(path)


def delete(paths: list[str]) -> None:
    """Deletes those of the files that there are."""
    present = [path for path in paths if exists(path)]
    if present:
        FileSystems.delete(present)


def ensure_folder(path: str) -> None:
    """Makes the folder that the file lies in, where the file system has folders."""
    parent = path.rsplit("/", 1)[0]
    if is_local(path) and not FileSystems.exists(parent):
        try:
            FileSystems.mkdirs(parent)
        except OSError:
            if not FileSystems.exists(parent):  # else another worker was quicker
                raise
