"""Files of a folder of features, whole or a range of bytes, without Beam: local ones, gs:// and s3://.

Stores are read through the clients that the extras bring: google-cloud-storage with `[gcp]`, boto3 with `[aws]`.
They try again by themselves what may pass.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

# Files that stay open, of the folders that a process reads; the one that was opened first goes first.
_MOST_OPEN_FILES = 256
_REFUSED, _NOT_THERE = (401, 403), (404, 416)
# Seconds before an answer that broke off is asked for again.
_PAUSES = (0.5, 1.0, 2.0, 4.0)

# Open files and clients, by process: a child made by fork has a table of its own, for clients do not survive one.
_open_files: dict[tuple[int, str], BinaryIO] = {}
_clients: dict[tuple[int, str], Any] = {}


def read_file(path: str) -> bytes | None:
    """The whole file, or None where there is none.

    Raises:
        OSError: it cannot be read; the message says what to do.
        ValueError: a path of a scheme that nothing here reads.
    """
    try:
        if not is_local(path):
            return _read_object(path, None)
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_range(path: str, offset: int, size: int) -> bytes:
    """The bytes of a file from an offset on, fewer at its end; safe in threads and in processes made by fork.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it cannot be read; the message says what to do.
        ValueError: a path of a scheme that nothing here reads.
    """
    if not is_local(path):
        return _read_object(path, (offset, size))
    # The file is held here, so that it stays open until it was read, whoever takes it off the table meanwhile.
    file = _open_file(path)
    parts, missing = [], size
    while missing and (part := os.pread(file.fileno(), missing, offset + size - missing)):
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read_object(path: str, client: Any, part: tuple[int, int] | None = None, version: Any = None) -> bytes:
    """An object of gs:// or s3://, by a client of one's own, with the client's errors.

    Args:
        path: of the object.
        client: of the store's library.
        part: `(offset, size)`; None for all.
        version: the generation of gs:// or the ETag of s3:// that it must have; None for any.
    """
    scheme, _, rest = path.partition("://")
    bucket, _, name = rest.partition("/")
    return _STORES[scheme].read(client, bucket, name, part, version)


def is_local(path: str) -> bool:
    """Whether the path is on this machine's file system."""
    return "://" not in path


def is_of_a_store(path: str) -> bool:
    """Whether the path is of a store that is read here: `gs://` or `s3://`."""
    return path.partition("://")[0] in _STORES and not is_local(path)


def list_names(folder: str) -> set[str]:
    """The names of the objects that lie in a folder of a store, without those of the folders in it.

    Args:
        folder: without a slash at its end.

    Raises:
        OSError: it cannot be listed; the message says what to do.
        ValueError: a path of a scheme that nothing here reads.
    """
    with _asking(folder, "list") as (store, client, bucket, name):
        return {key.rpartition("/")[2] for key in store.list(client, bucket, f"{name}/" if name else "")}


def _open_file(path: str) -> BinaryIO:
    key = (os.getpid(), path)
    file = _open_files.get(key)
    # A job that overwrites a folder puts another file in the place of one that is open here.
    if file is None or not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
        file = _open_files[key] = open(path, "rb", buffering=0)  # noqa: SIM115
        for oldest in list(_open_files)[:-_MOST_OPEN_FILES]:
            _open_files.pop(oldest, None)
    return file


def _read_object(path: str, part: tuple[int, int] | None) -> bytes:
    """An object of a store, or `(offset, size)` of it."""
    with _asking(path, "read") as (store, client, bucket, name):
        return b"" if part is not None and part[1] == 0 else store.read(client, bucket, name, part)


@contextlib.contextmanager
def _asking(path: str, what: str) -> Iterator[tuple[_Store, Any, str, str]]:
    """Yields a path's store, its client, the bucket and the name in it; tells what the client raises in our words.

    Args:
        path: of an object or a folder.
        what: is asked, "read" or "list".
    """
    scheme, _, rest = path.partition("://")
    if scheme not in _STORES:
        raise ValueError(
            f"{path}: {scheme}:// is not read here, only local files, gs:// and s3://: copy the folder"
        )
    bucket, _, name = rest.partition("/")
    store, key = _STORES[scheme], (os.getpid(), scheme)
    try:
        if key not in _clients:
            _clients[key] = store.connect()
        yield store, _clients[key], bucket, name
    except ImportError as error:
        raise OSError(f"{path}: {scheme}:// needs its client: pip install 'melbeam[{store.extra}]'") from error
    except Exception as error:  # each client has a family of its own
        status, said = _status(error), " ".join(str(error).split())[:300]
        if status in _NOT_THERE:
            raise FileNotFoundError(f"{path}: the store has no such object, or none so long ({said})") from error
        if status in _REFUSED or "redential" in said:
            raise PermissionError(
                f"{path}: the store refused it: grant {store.grants[what]} on {scheme}://{bucket} to the account "
                f"that reads, or give it credentials ({said})"
            ) from error
        raise OSError(f"{path}: {type(error).__name__}: {said}") from error


def _status(error: Exception) -> int | None:
    """The HTTP status of a client's error."""
    response = getattr(error, "response", None)
    of_botocore = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    status = getattr(error, "code", None) or of_botocore.get("HTTPStatusCode")
    return int(status) if isinstance(status, int) else None


def _connect_to_gcs() -> Any:
    from google.cloud import storage

    return storage.Client()


def _read_gcs(client: Any, bucket: str, name: str, part: tuple[int, int] | None, version: Any = None) -> bytes:
    blob = client.bucket(bucket).blob(name, generation=version)
    # Raw, for a store would else inflate what was uploaded as gzip.
    if part is None:
        return blob.download_as_bytes(raw_download=True)
    return blob.download_as_bytes(start=part[0], end=sum(part) - 1, raw_download=True)


def _connect_to_s3() -> Any:
    import boto3

    return boto3.session.Session().client("s3")  # the default session is shared by threads, and not made for it


def _read_s3(client: Any, bucket: str, name: str, part: tuple[int, int] | None, version: Any = None) -> bytes:
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    wanted = {} if part is None else {"Range": f"bytes={part[0]}-{sum(part) - 1}"}
    wanted |= {} if version is None else {"IfMatch": version}
    for pause in _PAUSES:
        answer = client.get_object(Bucket=bucket, Key=name, **wanted)
        try:
            return answer["Body"].read()
        except (HTTPClientError, IncompleteReadError):  # boto3 does not read an answer again
            time.sleep(pause)
    return client.get_object(Bucket=bucket, Key=name, **wanted)["Body"].read()


def _list_gcs(client: Any, bucket: str, prefix: str) -> Iterator[str]:
    return (blob.name for blob in client.list_blobs(bucket, prefix=prefix, delimiter="/"))


def _list_s3(client: Any, bucket: str, prefix: str) -> Iterator[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
    return (entry["Key"] for page in pages for entry in page.get("Contents", []))


@dataclass(frozen=True)
class _Store:
    """How a store is read.

    Attributes:
        connect: makes its client.
        read: an object of a bucket, or `(offset, size)` of it; of a version, as `read_object` says.
        list: the names in a bucket that begin so, and go on without a slash.
        grants: what an account needs to "read", and to "list".
        extra: of melbeam, that brings the client.
    """

    connect: Callable[[], Any]
    read: Callable[..., bytes]
    list: Callable[[Any, str, str], Iterable[str]]
    grants: dict[str, str]
    extra: str


_STORES = {
    "gs": _Store(
        _connect_to_gcs,
        _read_gcs,
        _list_gcs,
        {"read": "storage.objects.get", "list": "storage.objects.list"},
        "gcp",
    ),
    "s3": _Store(_connect_to_s3, _read_s3, _list_s3, {"read": "s3:GetObject", "list": "s3:ListBucket"}, "aws"),
}
