"""Text that lists things: manifests, Kaldi's tables, transcripts; read in ranges, also where it is compressed.

Lines end at a line feed; a carriage return before it, and a byte order mark in front of the first, are left out.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from melbeam.pipelines import files
from melbeam.pipelines.files.raw_file import RawFile, begins_as_gzip
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources.units import printable
from melbeam.transforms.plain_json import load_json

_BLOCK = 1 << 20  # 1 MiB
# These encodings write a line feed as more than one byte, or as another byte.
_WIDE = ("utf-16", "utf-32", "utf_16", "utf_32")


class NotText(ValueError):
    """A file that is not of the encoding that it should have."""


@contextmanager
def open_text(path: str) -> Iterator[io.BufferedIOBase]:
    """The file, decompressed where it is GZIP, for reading bytes."""
    with files.open_file(path) as file:
        opened = io.BufferedReader(RawFile(file), _BLOCK)
        yield gzip.GzipFile(fileobj=opened) if begins_as_gzip(opened) else opened


class Lines:
    """The lines of a text, with where each begins.

    Args:
        file: open for reading bytes, at `start`.
        start: offset of the first line.
        end: offset behind the last; None for the file's end.
    """

    def __init__(self, file: io.BufferedIOBase, start: int = 0, end: int | None = None) -> None:
        self._file = file
        self._end = end
        self.offset = start  # behind the lines that were read
        self.digest = hashlib.sha256()  # of those lines

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._end is not None and self.offset >= self._end:
            raise StopIteration
        line = self._file.readline()
        if not line:
            raise StopIteration
        self.digest.update(line)
        is_first = self.offset == 0
        self.offset += len(line)
        return line.removeprefix(codecs.BOM_UTF8) if is_first else line

    def with_offsets(self) -> Iterator[tuple[int, bytes]]:
        """The lines, each behind the offset at which it begins."""
        offset = self.offset
        for line in self:
            yield offset, line
            offset = self.offset


def skip_to(lines: Lines, offset: int) -> None:
    """Reads lines up to an offset, which are counted in their digest."""
    while lines.offset < offset and next(lines, None) is not None:
        pass


def decode(line: bytes, path: str, encoding: str) -> str:
    """A line as text.

    Raises:
        NotText: it is of another encoding.
    """
    try:
        return line.decode(encoding)
    except UnicodeDecodeError as error:
        raise NotText(
            f"{printable(path)} is not {encoding}: {error.reason} at {line[error.start : error.start + 4]!r} in "
            f"{line[:60]!r}: name its encoding with --encoding_of_text (latin-1 and cp1252 are common)"
        ) from error


def json_of(text: str | bytes) -> Any:
    """A JSON value, in which NaN is no value: so pandas writes what a column lacks.

    Raises:
        ValueError: it is no JSON, or an object in it says two things under one name.
    """
    return load_json(text, parse_constant=_constant)


def _constant(name: str) -> float | None:
    return None if name == "NaN" else float(name)


def check_encoding(encoding: str) -> None:
    """Refuses an encoding that does not exist, or in which lines do not end with one byte.

    Raises:
        ValueError: with what to do.
    """
    try:
        name = codecs.lookup(encoding).name
    except LookupError as error:
        raise UsageError(
            Refusal.BAD_VALUE, f"--encoding_of_text={encoding} is no encoding that Python knows"
        ) from error
    if name.startswith(_WIDE):
        raise UsageError(
            Refusal.BAD_VALUE, f"--encoding_of_text={encoding}: convert the file to UTF-8 first (iconv -t UTF-8)"
        )


def looks_wide(path: str) -> bool:
    """Whether a text begins as UTF-16 or UTF-32 do, with a mark or with the zeros in their letters."""
    with open_text(path) as file:
        head = file.read(4)
    return head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or b"\0" in head
