"""Files on any of Beam's file systems: small ones whole, large ones as streams; errors that say what to do.

Beam and the stores' clients try again, with backoff, what may pass (429, 503, a dropped connection); what comes
here as an error has lasted, or will.
"""

from __future__ import annotations

import errno
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from melbeam.transforms.folder_layout import HALF_WRITTEN, file_name, parent

_EXTRAS = {"gs": "gcp", "s3": "aws"}
_GRANTS = {
    "gs": "roles/storage.objectUser (storage.objects.list, get, create and delete)",
    "s3": "s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject",
}
_REFUSED, _NOT_THERE = (401, 403), 404
_LONGEST_DETAIL = 300  # characters of a store's own words


class NoFileSystem(OSError):
    """A path of a scheme that nothing here reads."""


# What a person has to put right, of a path that was given.
REFUSALS = (PermissionError, FileNotFoundError, NoFileSystem)


def is_local(path: str) -> bool:
    """Whether the path is on this machine's file system."""
    return "://" not in path


def open_file(path: str) -> Any:
    """The file, open for reading bytes as they are, never decompressed."""
    with _told(path):
        return _streamed(path, FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED))


def create_file(path: str) -> Any:
    """The file, open for writing bytes; an object store shows it once it is closed."""
    with _told(path):
        return _streamed(path, FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED))


def read_bytes(path: str) -> bytes:
    """The whole file, as it is, never decompressed."""
    with open_file(path) as file:
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
        start = f"{half_written_in}/{file_name(path)}" if half_written_in else path
        target = f"{start}.{uuid.uuid4().hex[:8]}{HALF_WRITTEN}"
    try:
        with create_file(target) as file:
            file.write(data)
        if target != path:
            rename(target, path)
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
    with _told(pattern):
        (result,) = FileSystems.match([pattern])
    # The empty object by which a store's console shows a folder is no file.
    found = [(found.path, found.size_in_bytes) for found in result.metadata_list]
    return sorted((path, size) for path, size in found if is_local(path) or not path.endswith("/"))


def exists(path: str) -> bool:
    """Whether there is such a file."""
    with _told(path):
        return FileSystems.exists(path)


def rename(source: str, target: str) -> None:
    """Gives a file another name, over a file of that name; a store without rename copies, then deletes."""
    with _told(target):
        FileSystems.rename([source], [target])


def delete(paths: list[str]) -> None:
    """Deletes those of the files that there are."""
    present = [path for path in paths if not is_local(path) or exists(path)]  # a store minds none that is gone
    if present:
        with _told(present[0]):
            FileSystems.delete(present)


def ensure_folder(path: str) -> None:
    """Makes the folder that the file lies in, where the file system has folders."""
    folder = parent(path)
    if is_local(path) and not FileSystems.exists(folder):
        try:
            FileSystems.mkdirs(folder)
        except OSError:
            if not FileSystems.exists(folder):  # else another worker was quicker
                raise


def remove_folder(path: str) -> None:
    """Removes the folder if it is empty, where the file system has folders."""
    if is_local(path):
        with suppress(OSError):  # it is gone, or another attempt has put something there
            os.rmdir(path)


class _StoreFile:
    """A store's file, whose errors are told as `_told` does."""

    def __init__(self, path: str, file: Any) -> None:
        self._path, self._file = path, file
        self._wrote = False

    def read(self, size: int = -1) -> bytes:
        with _told(self._path):
            return self._file.read(size)

    def write(self, data: bytes) -> int:
        self._wrote = self._wrote or bool(data)
        with _told(self._path):
            return self._file.write(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        with _told(self._path):
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        with _told(self._path):
            if self._path.startswith("s3://") and self._file.writable() and not self._wrote:
                _put_empty(self._path)
            else:
                self._file.close()

    def __enter__(self) -> _StoreFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _streamed(path: str, file: Any) -> Any:
    return file if is_local(path) else _StoreFile(path, file)


def _put_empty(path: str) -> None:
    """An empty object: Beam would upload it in parts, and S3 refuses an upload of no parts."""
    from apache_beam.io.aws.clients.s3.boto3_client import Client  # there, or `path` could not have been opened

    bucket, _, key = path.removeprefix("s3://").partition("/")
    Client(FileSystems._pipeline_options).client.put_object(Bucket=bucket, Key=key, Body=b"")


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Errors of object stores, of whatever class, become an OSError of one line that says what to do.

    Raises:
        NoFileSystem: the scheme's client is not installed, or there is no such scheme.
        PermissionError: the store refused: what to grant.
        FileNotFoundError: no such bucket or object.
        OSError: anything else of the store.
    """
    if FileSystems._pipeline_options is None and not is_local(path):
        # In a worker pool's worker, or a job without a pipeline; S3's file system has no default.
        FileSystems.set_options(PipelineOptions([]))
    try:
        yield
    except Exception as error:
        if is_local(path):
            raise
        scheme, _, rest = path.partition("://")
        bucket = f"{scheme}://{rest.split('/')[0]}"
        if isinstance(error, ValueError) and "Unable to get filesystem" in str(error):
            extra = _EXTRAS.get(scheme)
            what = f"pip install '.[{extra}]' in melbeam's checkout" if extra else "Beam has no such file system"
            raise NoFileSystem(f"{path}: {scheme}:// cannot be read or written here: {what}") from error
        code, detail = _bottom(error)
        if code in _REFUSED or "credentials" in detail.lower():
            grants = _GRANTS.get(scheme, "reading, listing, writing and deleting")
            raise PermissionError(
                f"{path}: the store refused it: grant {grants} on {bucket} to the account that runs the job, and "
                f"to its workers' own, or give them credentials ({code}: {detail})"
            ) from error
        if code == _NOT_THERE:
            raise FileNotFoundError(
                f"{path}: the store has no such bucket or object: correct the path, or make {bucket} ({detail})"
            ) from error
        raise OSError(f"{path}: {type(error).__name__}: {detail}") from error


def _bottom(error: BaseException) -> tuple[int | None, str]:
    """The HTTP status, if there is one, and the words of what lies beneath an error of Beam's or of a client."""
    details = getattr(error, "exception_details", None) or {}  # of a BeamIOError: a path's exception or status
    text = " ".join(str(error).split())[:_LONGEST_DETAIL]
    for inner in (*details.values(), error.__cause__):
        if isinstance(inner, int):
            return inner, text
        if isinstance(inner, BaseException) and (found := _bottom(inner))[0] is not None:
            return found
    response = getattr(error, "response", None)
    for status in (getattr(error, "code", None), getattr(response, "status_code", None)):
        if isinstance(status, int):
            return int(status), text
    return (_NOT_THERE if getattr(error, "errno", None) == errno.ENOENT else None), text
