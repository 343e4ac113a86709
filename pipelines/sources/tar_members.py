"""The members of a tar file, and what lies between them and is none: a damaged tar is read as far as it can be."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from melbeam.pipelines import files
from melbeam.pipelines.sources.text_lines import RawFile
from melbeam.pipelines.sources.units import printable
from melbeam.transforms.records.rejects import Reject, with_place

_GZIP = b"\x1f\x8b"
_BLOCK = 512  # bytes, of tar
# So much is read ahead: more would be copied once more, and drive a clip that is being converted out of the cache.
_BUFFER = 1 << 17
_READ_ERRORS = (tarfile.TarError, EOFError, OSError, ValueError)


@dataclass(frozen=True)
class Lost:
    """Bytes of a tar file that are no members.

    Attributes:
        reject: what is said of them.
        size: how many they are; 0 where only the end is missing.
    """

    reject: Reject
    size: int = 0

    @classmethod
    def between(cls, start: int, end: int) -> Lost:
        """The bytes between two members."""
        detail = "bytes that are no members of the tar file"
        return cls(Reject("bad_framing", with_place(detail, end - start, start)), end - start)


@dataclass(frozen=True)
class Member:
    """A file in a tar file, or bytes that are none.

    Attributes:
        name: of the file.
        start: offset of its header in the tar file, as it is before compression.
        content: of the file; or why it cannot be read; or what the bytes are.
    """

    name: str
    start: int
    content: bytes | Reject | Lost


def members_of(path: str, max_bytes: int, start: int = 0) -> Iterator[Member]:
    """The members of a tar file, in order.

    Args:
        path: of the file, which may be compressed by GZIP.
        max_bytes: of a member's content; a larger one is over_limit.
        start: offset of the first header to be read.
    """
    with _opened(path) as (file, compressed):
        if not compressed:
            file.seek(start)
        for member in _members(file, 0 if compressed else start, max_bytes, compressed=compressed):
            if member.start >= start:
                yield member


def names_in(path: str) -> Iterator[str]:
    """The names of a tar file's members as far as it can be read, by their headers alone."""
    with _opened(path) as (file, _), suppress(*_READ_ERRORS):
        tar = tarfile.open(fileobj=file, mode="r:", ignore_zeros=True)  # noqa: SIM115
        while (member := tar.next()) is not None:
            vars(tar)["members"] = []  # which tarfile would keep all of
            yield member.name


@contextmanager
def _opened(path: str) -> Iterator[tuple[io.BufferedIOBase, bool]]:
    """The file, decompressed where it is GZIP, and whether it is."""
    with files.open_file(path) as opened:
        compressed = opened.read(2) == _GZIP
        opened.seek(0)
        file = io.BufferedReader(RawFile(opened), _BUFFER)
        yield (gzip.GzipFile(fileobj=file) if compressed else file), compressed


def _members(file: io.BufferedIOBase, start: int, max_bytes: int, *, compressed: bool) -> Iterator[Member]:
    try:
        # Where a header does not hold, the next block that is one goes on.
        tar = tarfile.open(fileobj=file, mode="r:", ignore_zeros=True)  # noqa: SIM115
    except (tarfile.ReadError, EOFError, OSError) as error:
        yield Member("", start, Lost(Reject("bad_framing", f"no tar file: {error}")))
        return
    end, content = start, None
    while True:
        try:
            member = tar.next()
        except _READ_ERRORS as error:
            if not isinstance(content, Reject):  # a cut member has said so itself
                detail = f"the tar file is cut or damaged behind byte {end}: {error}"
                yield Member("", end, Lost(Reject("bad_framing", detail)))
            return
        if member is None:
            break
        if member.offset > end and _has_content(file, end, member.offset):
            yield Member("", end, Lost.between(end, member.offset))
        vars(tar)["members"] = []  # which tarfile would keep all of
        end = member.offset_data + -(-member.size // _BLOCK) * _BLOCK if member.isreg() else member.offset_data
        if member.isreg():
            content = _content(tar, file, member, max_bytes)
            yield Member(member.name, member.offset, content)
        elif member.islnk() or member.issym():
            what = f"{printable(member.name)} is a link to {printable(member.linkname)}: pack the file itself"
            yield Member(member.name, member.offset, Reject("bad_row", f"{what} (tar --dereference)"))
    there = file.seek(0, 2) if not compressed else end
    if there > end and _has_content(file, end, there):
        yield Member("", end, Lost.between(end, there))


def _has_content(file: io.BufferedIOBase, start: int, end: int) -> bool:
    """Whether bytes between two members are no zeros, as at the end of each tar of several in one file."""
    position = file.tell()
    try:
        file.seek(start)
        left = end - start
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            if block.strip(b"\0"):
                return True
            left -= len(block)
        return False
    finally:
        file.seek(position)


def _content(
    tar: tarfile.TarFile, file: io.BufferedIOBase, member: tarfile.TarInfo, max_bytes: int
) -> bytes | Reject:
    if member.size > max_bytes:
        return Reject("over_limit", f"{printable(member.name)} has {member.size} bytes, above {max_bytes}")
    try:
        if member.issparse():
            opened = tar.extractfile(member)
            data = b"" if opened is None else opened.read()
        else:  # straight from the file, since what extractfile gives copies each clip twice more
            file.seek(member.offset_data)
            data = file.read(member.size)
    except (tarfile.TarError, EOFError, OSError) as error:
        return Reject("bad_row", f"{printable(member.name)} cannot be read: {error}")
    if len(data) < member.size:
        return Reject(
            "bad_row", f"{printable(member.name)} is cut: {len(data)} of its {member.size} bytes are there"
        )
    return data
