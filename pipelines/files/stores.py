"""Files of the file systems that Beam brings a client for: object stores, and HDFS; every path is literal.

Beam and the stores' clients try again, with backoff, what may pass (429, 503, a dropped connection); what comes
here as an error has lasted, or will. Whatever its class, it becomes an OSError of one line that says what to do.
"""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from melbeam.pipelines import private_names
from melbeam.pipelines.files.globs import compile_glob, literal_path, literal_prefix
from melbeam.pipelines.files.store_reader import StoreReader
from melbeam.pipelines.files.store_writer import StoreWriter
from melbeam.transforms.messages import in_one_line
from melbeam.transforms.reading.storage import is_refusal, status_of

_EXTRAS = {"gs": "gcp", "s3": "aws"}
_GRANTS = {
    "gs": "roles/storage.objectUser (storage.objects.list, get, create and delete)",
    "s3": "s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject",
}
_NOT_THERE = 404
_NOTHING_THERE = 416  # a range that begins at the end of an object, or behind it
_BLOCK = 8 << 20  # 8 MiB
# A condition that does not hold: the status of GCS and S3, and S3's where two requests meet.
_CONDITION_FAILED = (412, 409)
# The answers of stores that speak S3 but have no conditions, and of boto3 before it had them.
_NO_CONDITIONS = (400, 501)
_NO_SUCH = "Beam has no such file system"
_NOT_READ = dict.fromkeys(("http", "https", "hf", "ftp"), f"{_NO_SUCH}: download the files first")
# What Beam says where a client is not installed: gs://'s when it looks for one, s3://'s when it uses it.
_NO_CLIENT = ("Unable to get filesystem", "Missing boto3 requirement")


class NoFileSystem(OSError):
    """A path of a scheme that nothing here reads."""


def check_scheme(path: str) -> None:
    """Refuses a path of a scheme that nothing here reads.

    Raises:
        NoFileSystem: with what to install, if that helps.
    """
    with with_advice(path):
        FileSystems.get_filesystem(path)


def open_file(path: str) -> Any:
    """The file, open for reading bytes as they are, never decompressed; of gs:// and s3:// in one version."""
    try:
        with with_advice(path):
            size, version, _ = private_names.size_version_and_checksum(path)
    except NotImplementedError:
        with with_advice(path):
            return _StoreFile(path, FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED))
    return StoreReader(size, partial(_read_part, path, version))


def _read_part(path: str, version: Any, offset: int, size: int) -> bytes:
    try:
        with with_advice(path):
            return private_names.read_object(path, (offset, size), version)
    except OSError as error:
        if _status_and_words(error)[0] in (*_CONDITION_FAILED, _NOT_THERE, _NOTHING_THERE):
            raise OSError(
                f"{path}: it was replaced or deleted while it was read, up to byte {offset}: start again"
            ) from error
        raise


def read_bytes(path: str) -> bytes:
    """The whole file, as it is, never decompressed."""
    try:
        with with_advice(path):
            return private_names.read_object(path)
    except NotImplementedError:
        with open_file(path) as file:
            return file.read()


def read_range(path: str, offset: int, size: int) -> bytes:
    """The bytes of a file from an offset on, fewer at its end; on gs:// and s3:// no more is fetched."""
    if not size:
        return b""
    try:
        with with_advice(path):
            return private_names.read_object(path, (offset, size))
    except NotImplementedError:
        with open_file(path) as file:
            file.seek(offset)
            return _read_up_to(file, size)
    except OSError as error:
        if _status_and_words(error)[0] == _NOTHING_THERE:
            return b""
        raise


def _read_up_to(file: Any, size: int) -> bytes:
    """The next bytes of a file, by blocks: what is asked for may be far more than there is."""
    parts, missing = [], size
    while missing and (part := file.read(min(missing, _BLOCK))):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def create_file(path: str) -> Any:
    """The file, open for writing bytes; the store shows it once it is closed."""
    with with_advice(path):
        file = FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)
        is_s3 = path.startswith("s3://")
        close_empty = partial(private_names.put_empty_s3_object, path) if is_s3 else file.close
        return _StoreFile(path, StoreWriter(file, close_empty))


def exists(path: str) -> bool:
    """Whether there is such a file."""
    with with_advice(path):
        return FileSystems.exists(path)


def state(path: str) -> tuple[int, str] | None:
    """The object's size, and its CRC32C on gs://, its ETag on s3://; None where there is no such object."""
    try:
        with with_advice(path):
            size, _, checksum = private_names.size_version_and_checksum(path)
            return size, checksum
    except NotImplementedError:
        with with_advice(path):
            file_system = FileSystems.get_filesystem(path)
            return file_system.metadata(path).size_in_bytes, str(file_system.checksum(path))
    except FileNotFoundError:
        return None


def match(glob: str) -> Iterator[tuple[str, int]]:
    """Paths and sizes of the files that a glob names."""
    with with_advice(glob):
        file_system = FileSystems.get_filesystem(glob)
        path, is_named = literal_path(glob), compile_glob(glob).fullmatch
        if path is not None:
            found = iter([file_system.metadata(path)] if file_system.exists(path) else [])
        else:
            start = literal_prefix(glob)
            found = private_names.list_files(
                file_system, posixpath.dirname(start) if file_system.has_dirs() else start
            )
        for file in found:
            # The empty object by which a store's console shows a folder is no file.
            if is_named(file.path) and not file.path.endswith("/"):
                yield file.path, file.size_in_bytes


def rename(source: str, target: str) -> None:
    """Gives a file another name, over a file of that name; most stores copy, then delete."""
    with with_advice(target):
        FileSystems.rename([source], [target])


def delete(paths: list[str]) -> None:
    """Deletes the files; one that is gone is no error."""
    for path in paths[:1]:
        with with_advice(path):
            if path.startswith("gs://"):  # Beam takes a path to delete there for a glob
                private_names.delete_from_gcs(paths)
            else:
                FileSystems.delete(paths)


def read_version(path: str) -> tuple[bytes, Any] | None:
    """The file's bytes, and which version of it they are; None where there is no such file.

    Raises:
        NotImplementedError: the store tells no versions.
    """
    with with_advice(path):
        return private_names.read_version(path)


def write_version(path: str, data: bytes, version: Any) -> bool:
    """Writes the file if it still is that version of it, or, for None, if there is none; says whether it did.

    Raises:
        NotImplementedError: the store knows no such condition.
    """
    try:
        with with_advice(path):
            private_names.write_version(path, data, version)
    except OSError as error:
        code, _ = _status_and_words(error)
        if code in _CONDITION_FAILED:
            return False
        if code in _NO_CONDITIONS:
            raise NotImplementedError(f"{path}: the store knows no conditions: {error}") from error
        raise
    return True


class _StoreFile:
    """A store's file, with advice in its errors."""

    def __init__(self, path: str, file: Any) -> None:
        self._path, self._file = path, file

    def read(self, size: int = -1) -> bytes:
        with with_advice(self._path):
            return self._file.read(size)

    def write(self, data: bytes) -> int:
        with with_advice(self._path):
            return self._file.write(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        with with_advice(self._path):
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        with with_advice(self._path):
            self._file.close()

    def __enter__(self) -> _StoreFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def with_advice(path: str) -> Iterator[None]:
    """Errors of stores, of whatever class, become an OSError of one line that says what to do.

    Raises:
        NoFileSystem: the scheme's client is not installed, or there is no such scheme.
        PermissionError: the store refused; the message says what to grant.
        FileNotFoundError: there is no such bucket or object.
        OSError: anything else that a store said.
    """
    private_names.prepare_store(path)
    try:
        yield
    except NotImplementedError:
        raise
    except Exception as error:
        scheme, _, rest = path.partition("://")
        bucket = f"{scheme}://{rest.split('/')[0]}"
        if isinstance(error, ImportError) or any(said in str(error) for said in _NO_CLIENT):
            extra = _EXTRAS.get(scheme)
            what = f"pip install '.[{extra}]' in melbeam's checkout" if extra else _NOT_READ.get(scheme, _NO_SUCH)
            raise NoFileSystem(f"{path}: {scheme}:// cannot be read or written here: {what}") from error
        code, words = _status_and_words(error)
        if is_refusal(code, words):
            grants = _GRANTS.get(scheme, "reading, listing, writing and deleting")
            raise PermissionError(
                f"{path}: the store refused it: grant {grants} on {bucket} to the account that runs the job, and "
                f"to its workers' own, or give them credentials ({code}: {words})"
            ) from error
        if code == _NOT_THERE:
            raise FileNotFoundError(
                f"{path}: the store has no such bucket or object: correct the path, or make {bucket} ({words})"
            ) from error
        raise OSError(f"{path}: {type(error).__name__}: {words}") from error


def _status_and_words(error: BaseException) -> tuple[int | None, str]:
    """The HTTP status, if there is one, and the words of what lies beneath an error of Beam's or of a client."""
    details = getattr(error, "exception_details", None) or {}  # of a BeamIOError: a path's exception or status
    text = in_one_line(error)
    for inner in (*details.values(), error.__cause__):
        if isinstance(inner, int):
            return inner, text
        if isinstance(inner, BaseException) and (found := _status_and_words(inner))[0] is not None:
            return found
    status = status_of(error)
    if status is None and getattr(error, "errno", None) == errno.ENOENT:
        status = _NOT_THERE
    return status, text
