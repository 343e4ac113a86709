"""TFRecord files, read so that a damaged record costs itself alone, and written with known checksums.

A record is (tensorflow/core/lib/io/record_writer.h)

    uint64 length | uint32 masked CRC32C of length | length bytes of data | uint32 masked CRC32C of data

Where a header does not hold, or a record is cut, the framing is lost. The reader then goes on

1. behind the record itself, if only its length's checksum fails: the data's holds over that length;
2. else at the next place, byte by byte, where a length's checksum and its data's checksum both hold.

The bytes between are one damage. So a TFRecord stored whole inside a record's data stays inside it, unless
that record's own length is damaged or its end is cut off: then the inner records are records by every mark
that the format has, and are yielded. A record above the limit on size is no place to go on at, for its data
is never checked.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, BinaryIO

import google_crc32c
import numpy as np
from apache_beam.io.filesystem import CompressedFile

from melbeam.pipelines import files

MAX_RECORD_BYTES = 256 << 20  # 256 MiB
_HEADER, _FOOTER = 12, 4  # bytes
_BLOCK = 1 << 20  # 1 MiB, read at a time
_FIRST_SCAN = 4 << 10  # 4 KiB, for the next record is mostly near; then twice as much, up to a block
_LARGEST_FILE = 1 << 50  # 1 PiB, above any object store's limit: what a stream of unknown size can't exceed
_LARGEST_RATIO = 1100  # a byte of DEFLATE inflates to 1032 at most (zlib's technical notes)
_PROOF = 64 << 10  # 64 KiB: chance bytes don't inflate as far
_KEPT_OF_OVER_LIMIT = 64 << 10  # 64 KiB of a record that is too large to keep
_MASK_DELTA = 0xA282EAD8
_LENGTH_AND_CRC, _UINT32 = struct.Struct("<QI"), struct.Struct("<I")


@dataclass(frozen=True)
class Record:
    """A record that is whole.

    Attributes:
        number: counts from 0 over everything yielded, damages too.
        offset: of its header, in (inflated) bytes.
        data: the payload; with its frame it covers 16 + len(data) bytes of the file.
    """

    number: int
    offset: int
    data: bytes


@dataclass(frozen=True)
class Damage:
    """A record, or bytes between records, that cannot be used.

    Attributes:
        number: counts from 0 over everything yielded, records too.
        offset: where it begins, in (inflated) bytes.
        size: all the (inflated) bytes of the file that it covers, frame included; 0 where only the compressed
            stream's end is missing.
        reason: "bad_checksum" (the data's), "bad_framing" or "over_limit".
        detail: what is wrong, for a person.
        data: "bad_checksum": the payload. "over_limit": its first 64 KiB at most. "bad_framing": the bytes
            themselves, the first `max_record_bytes` of them.
    """

    number: int
    offset: int
    size: int
    reason: str
    detail: str
    data: bytes


@dataclass(frozen=True)
class Span:
    """A run of what a file yields, from the beginning of one item to the beginning of another, or its end.

    Attributes:
        start: offset of the first, in bytes; of a compressed file there is no other than 0.
        end: offset behind the last; None for the end of the file.
        number: of the first, counted from the beginning of the file.
    """

    start: int = 0
    end: int | None = None
    number: int = 0


WHOLE = Span()


def masked_crc32c(data: bytes) -> int:
    """The checksum that TFRecords store: CRC32C, rotated by 15 bits, plus a constant."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


class TFRecordWriter:
    """Writes records to an open file, which stays its caller's.

    Attributes:
        num_records: written so far.
        num_bytes: written so far, frames included.
        crc32c: of all those bytes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.num_records = 0
        self.num_bytes = 0
        self.crc32c = 0

    def write(self, data: bytes) -> None:
        """Writes one record."""
        length = struct.pack("<Q", len(data))
        header = length + struct.pack("<I", masked_crc32c(length))
        for part in (header, data, struct.pack("<I", masked_crc32c(data))):
            self._file.write(part)
            self.crc32c = google_crc32c.extend(self.crc32c, part)
            self.num_bytes += len(part)
        self.num_records += 1


def file_crc32c(file: BinaryIO) -> tuple[int, int]:
    """CRC32C and size, in bytes, of all that the file holds from here on."""
    crc, size = 0, 0
    while block := file.read(_BLOCK):
        crc, size = google_crc32c.extend(crc, block), size + len(block)
    return crc, size


def read_tfrecord_file(
    path: str, *, max_record_bytes: int = MAX_RECORD_BYTES, span: Span = WHOLE
) -> Iterator[Record | Damage]:
    """`read_tfrecords` of a path on any of Beam's file systems.

    Raises:
        OSError: the file cannot be opened or read.
        ValueError: `max_record_bytes` is negative.
    """
    with files.open_file(path) as file:
        yield from read_tfrecords(file, max_record_bytes=max_record_bytes, span=span)


def read_tfrecords(
    file: BinaryIO, *, max_record_bytes: int = MAX_RECORD_BYTES, span: Span = WHOLE
) -> Iterator[Record | Damage]:
    """Everything in a TFRecord file, in order; GZIP and ZLIB are recognised by their first bytes.

    Args:
        file: open for reading; it need not be seekable, and stays its caller's.
        max_record_bytes: of a payload; a larger record is a damage, "over_limit", and is not held in memory.
        span: the items to read, found by `find_spans` with the same `max_record_bytes`; a file that is to be
            read from its middle must be seekable.

    Yields:
        Records, and damages with reason "bad_checksum" (the data's), "bad_framing" or "over_limit". Together
        they cover every byte of the (inflated) file, each once.

    Raises:
        OSError: the file cannot be read.
        ValueError: `max_record_bytes` is negative.
    """
    if max_record_bytes < 0:
        raise ValueError(f"max_record_bytes must be 0 or more, not {max_record_bytes}")
    window = _Window(file)
    if span.start:
        window.skip(span.start)
    elif _length(window.peek(_HEADER)) is None and _is_compressed(window.peek(_BLOCK)):
        window = _Window(_Inflating(window))
    number = span.number
    told = False  # whether a damage has said why the stream ended
    while (span.end is None or window.offset < span.end) and (start := window.peek(_HEADER)):
        offset, length = window.offset, _length(start)
        item: Record | Damage
        if length is not None and length > max_record_bytes and window.may_hold(_HEADER + length + _FOOTER):
            item = _over_limit(window, number, length, max_record_bytes)
        elif length is not None and length <= max_record_bytes and (frame := window.read_frame(length)):
            data, stored = frame
            if stored == masked_crc32c(data):
                item = Record(number, offset, data)
            else:
                detail = f"the data's checksum does not hold: {length} bytes"
                item = Damage(number, offset, _HEADER + length + _FOOTER, "bad_checksum", detail, data)
        else:
            item = _resynchronise(window, number, max_record_bytes)
        if isinstance(item, Damage) and item.reason == "bad_framing" and not window.peek(1) and window.error:
            item = replace(item, detail=f"{item.detail}; {window.error}")
            told = True
        yield item
        number += 1
    if window.error and not told:
        yield Damage(number, window.offset, 0, "bad_framing", window.error, b"")


def find_spans(path: str, num_spans: int, *, max_record_bytes: int = MAX_RECORD_BYTES) -> list[Span]:
    """Cuts a file into spans of about the same size, at record boundaries; together they are the whole file.

    Reads the records' headers alone, and whole what is damaged. A span may hold nothing, where a record is
    larger than its share of the file.

    Args:
        path: on any of Beam's file systems, of a file that is not compressed.
        num_spans: how many.
        max_record_bytes: as the spans will be read with.

    Raises:
        OSError: the file cannot be opened or read.
    """
    starts: list[tuple[int, int]] = []  # offset and number of each span's first item
    with files.open_file(path) as file:
        window = _Window(file, block=_FIRST_SCAN)
        size, number = window.size_bound, 0
        while header := window.peek(_HEADER):
            while len(starts) < num_spans and window.offset >= size * len(starts) // num_spans:
                starts.append((window.offset, number))
            length = _length(header)
            if length is None or not window.may_hold(_HEADER + length + _FOOTER):
                _resynchronise(window, number, max_record_bytes)
            else:
                window.skip(_HEADER + length + _FOOTER)
            number += 1
        starts += [(window.offset, number)] * (num_spans + 1 - len(starts))
    return [Span(start, end, first) for (start, first), (end, _) in pairwise(starts)]


def is_compressed(path: str) -> bool:
    """Whether the file is GZIP or ZLIB, as `read_tfrecords` sees it.

    Raises:
        OSError: the file cannot be opened or read.
    """
    with files.open_file(path) as file:
        window = _Window(file)
        return _length(window.peek(_HEADER)) is None and _is_compressed(window.peek(_BLOCK))


class _Window:
    """A file seen through a buffer that grows only as far as the file goes."""

    def __init__(self, file: Any, block: int = _BLOCK) -> None:
        self._file = file
        self._block = block  # bytes, read at a time
        self._buffer = b""
        self._start = 0  # of the window in the buffer
        self._ended = False
        self._error = ""
        self.offset = 0  # of the window in the file
        exact_size = _exact_size(file)
        self._seekable = exact_size is not None
        self.size_bound = _size_bound(file) if exact_size is None else exact_size  # bytes; it holds no more

    @property
    def error(self) -> str:
        """Why the file ended before its time, or nothing."""
        return self._error or getattr(self._file, "error", "")

    def peek(self, size: int) -> bytes:
        """The next bytes, fewer at the end of the file; they stay."""
        if size > len(self._buffer) - self._start:
            self._fill(size)
        return self._buffer[self._start : self._start + size]

    def _fill(self, size: int) -> None:
        missing = size - (len(self._buffer) - self._start)
        parts = [self._buffer[self._start :]]
        while missing > 0 and not self._ended:
            try:
                block = self._file.read(max(self._block, min(missing, 16 * _BLOCK)))
            except EOFError as error:  # how gzip.GzipFile says that it is cut
                self._error, block = f"the compressed file is cut: {error}", b""
            self._ended = not block
            parts.append(block)
            missing -= len(block)
        if len(parts) > 1:
            self._buffer, self._start = b"".join(parts), 0

    def has(self, size: int) -> bool:
        """Whether that many bytes follow; they are in the buffer then."""
        if not self.may_hold(size):
            return False
        if size > len(self._buffer) - self._start:
            self._fill(size)
        return size <= len(self._buffer) - self._start

    def frame(self, length: int, position: int = 0) -> tuple[bytes, int] | None:
        """Data and stored checksum of the record `position` bytes on, or None where the file ends first."""
        if not self.has(position + _HEADER + length + _FOOTER):
            return None
        start = self._start + position + _HEADER
        data = self._buffer[start : start + length]
        return data, _UINT32.unpack_from(self._buffer, start + length)[0]

    def read_frame(self, length: int) -> tuple[bytes, int] | None:
        """As `frame`, and goes on behind it."""
        frame = self.frame(length)
        if frame is not None:
            self._start += _HEADER + length + _FOOTER
            self.offset += _HEADER + length + _FOOTER
        return frame

    def may_hold(self, size: int) -> bool:
        """False where the file is known to end sooner."""
        return size <= self.size_bound - self.offset

    def skip(self, size: int) -> int:
        """Goes on by `size` bytes; gives how many there were."""
        buffered = len(self._buffer) - self._start
        if self._seekable and size > buffered + self._block:
            there = min(size, self.size_bound - self.offset)
            self._file.seek(there - buffered, 1)
            self._buffer, self._start = b"", 0
            self.offset += there
            return there
        left = size
        while left > 0:
            if self._start == len(self._buffer):
                self._fill(1)
            # All that is buffered at once, so that a long skip does not copy.
            step = min(left, len(self._buffer) - self._start)
            if step == 0:
                break
            self._start += step
            self.offset += step
            left -= step
        return size - left

    def read(self, size: int) -> bytes:
        """The next bytes, fewer at the end of the file."""
        data = self.peek(size)
        self.skip(len(data))
        return data


class _Inflating:
    """A GZIP or ZLIB stream as a file; inflates a block at a time, whatever it would come to."""

    def __init__(self, file: _Window) -> None:
        self._file = file
        self._inflater = _inflater()
        self._pending = b""
        self.error = ""
        self.size_bound = min(_LARGEST_FILE, file.size_bound * _LARGEST_RATIO)

    def read(self, size: int) -> bytes:
        """The next inflated bytes; none at the end, and `error` is set where that came too soon."""
        while not self.error:
            if self._inflater.eof:
                # Zeros behind a member are padding, as for gzip; anything else is the next member.
                self._pending = (self._inflater.unused_data or self._file.read(_BLOCK)).lstrip(b"\0")
                while not self._pending and (block := self._file.read(_BLOCK)):
                    self._pending = block.lstrip(b"\0")
                if not self._pending:
                    return b""
                self._inflater = _inflater()
            compressed = self._pending or self._file.read(_BLOCK)
            before = self._inflater.copy()
            try:
                inflated = self._inflater.decompress(compressed, size)
            except zlib.error as error:
                self.error = f"the compressed file is damaged before its byte {self._file.offset}: {error}"
                return _salvaged(before, compressed)
            self._pending = self._inflater.unconsumed_tail
            if inflated:
                return inflated
            if not compressed and not self._inflater.eof:
                self.error = f"the compressed file is cut at its byte {self._file.offset}"
        return b""


def _inflater() -> Any:
    return zlib.decompressobj(wbits=47)  # either header


def _salvaged(inflater: Any, compressed: bytes) -> bytes:
    """What comes out before the error that this input is known to give."""
    parts = []
    try:
        for i in range(len(compressed)):
            parts.append(inflater.decompress(compressed[i : i + 1]))
    except zlib.error:
        pass
    return b"".join(parts)


def _size_bound(file: Any) -> int:
    """What a file that cannot tell its size may hold from here on, in bytes."""
    return file.size_bound if isinstance(file, _Inflating) else _LARGEST_FILE


def _exact_size(file: Any) -> int | None:
    """What a file holds from here on, in bytes; None where it cannot seek."""
    if isinstance(file, (_Inflating, gzip.GzipFile, CompressedFile)):  # they seek to the end by inflating it all
        return None
    try:
        here = file.tell()
        end = file.seek(0, 2)
        end = file.tell() if end is None else end
        file.seek(here)
    except (AttributeError, OSError, ValueError):
        return None
    return end - here


def _length(header: bytes) -> int | None:
    """The length that a header gives, or None where its checksum does not hold."""
    if len(header) < _HEADER:
        return None
    length, crc = _LENGTH_AND_CRC.unpack_from(header)
    return length if crc == masked_crc32c(header[:8]) else None


def _is_compressed(start: bytes) -> bool:
    """Whether this begins a GZIP or ZLIB stream, and is not a damaged length that looks like their magic.

    It is one if it inflates to a header that holds, or to `_PROOF` bytes, or to its end, without an error; one
    cut short must have come to the size of a header, or there is nothing to lose by keeping its bytes as they are.
    """
    zlib_header = len(start) >= 2 and start[0] == 0x78 and (start[0] * 256 + start[1]) % 31 == 0
    if not zlib_header and start[:2] != b"\x1f\x8b":
        return False
    inflater, inflated = _inflater(), bytearray()
    try:
        for i in range(len(start)):  # one by one, for what comes out together with an error is lost
            inflated += inflater.decompress(start[i : i + 1])
            if inflater.eof or len(inflated) >= _PROOF or _length(bytes(inflated[:_HEADER])) is not None:
                break
    except zlib.error:
        return False
    return inflater.eof or len(inflated) >= _HEADER


def _over_limit(window: _Window, number: int, length: int, max_record_bytes: int) -> Damage:
    offset = window.offset
    data = window.peek(_HEADER + min(length, _KEPT_OF_OVER_LIMIT))[_HEADER:]
    size = window.skip(_HEADER + length + _FOOTER)
    detail = f"a record of {length} bytes, above {max_record_bytes}; its first {len(data)} bytes are kept"
    if size < _HEADER + length + _FOOTER:  # only where the size of the file was not known
        return Damage(number, offset, size, "bad_framing", f"{detail}; it is cut after {size} bytes", data)
    return Damage(number, offset, size, "over_limit", detail, data)


def _resynchronise(window: _Window, number: int, max_record_bytes: int) -> Damage:
    """Skips to the next whole record, or to the end of the file."""
    offset = window.offset
    lost = bytearray()
    size = 0

    def lose(count: int) -> None:
        nonlocal size
        lost.extend(window.peek(min(count, max_record_bytes - len(lost))))
        size += window.skip(count)

    detail = "the framing is lost: bytes that belong to no whole record"
    length = _unchecked_length(window.peek(_HEADER))
    if length <= max_record_bytes and _holds(window.frame(length)):
        detail = "the length's checksum does not hold; the length and the data's checksum do"
        lose(_HEADER + length + _FOOTER)
    else:
        lose(1)
        scan = _FIRST_SCAN
        while block := window.peek(scan):
            found = _next_record(window, block, max_record_bytes)
            if found is not None:
                lose(found)
                break
            # A header may begin in the last bytes of a block and end in the next.
            lose(len(block) - _HEADER + 1 if len(block) == scan else len(block))
            scan = min(2 * scan, _BLOCK)
    if len(lost) < size:
        detail += f"; of {size} bytes the first {len(lost)} are kept"
    return Damage(number, offset, size, "bad_framing", detail, bytes(lost))


def _next_record(window: _Window, block: bytes, max_record_bytes: int) -> int | None:
    """The first position in the block, the window's beginning, where a whole record stands."""
    for position in _plausible_headers(block, max_record_bytes):
        length = _unchecked_length(block[position : position + _HEADER])
        if length <= max_record_bytes and _holds(window.frame(length, position)):
            return position
    return None


def _holds(frame: tuple[bytes, int] | None) -> bool:
    return frame is not None and masked_crc32c(frame[0]) == frame[1]


def _unchecked_length(header: bytes) -> int:
    """The length that a header gives, whatever its checksum; of a cut one, more than any file holds."""
    return _LENGTH_AND_CRC.unpack(header)[0] if len(header) == _HEADER else _LARGEST_FILE


def _crc32c_table() -> np.ndarray:
    """CRC32C of each byte, for the reflected Castagnoli polynomial."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table


_TABLE = _crc32c_table()


def _plausible_headers(block: bytes, max_length: int) -> list[int]:
    """Positions in the block where a length up to the limit is followed by its masked CRC32C."""
    count = len(block) - _HEADER + 1
    if count <= 0:
        return []
    data = np.frombuffer(block, np.uint8)
    # The high bytes of a length within the limit are zero: nearly all positions end here.
    low_bytes = min(8, max(1, (max_length.bit_length() + 7) // 8))
    plausible = np.ones(count, bool)
    for i in range(low_bytes, 8):
        plausible &= data[i : i + count] == 0
    # Zeros, as of a disk's lost pages, are lengths too; their checksum is known: ask for its first byte.
    above_zero = np.zeros(count, bool)
    for i in range(low_bytes):
        above_zero |= data[i : i + count] != 0
    plausible &= above_zero | (data[8 : 8 + count] == masked_crc32c(bytes(8)) & 0xFF)
    at = np.flatnonzero(plausible)
    crc = np.full(len(at), 0xFFFFFFFF, np.uint32)
    for i in range(8):
        crc = _TABLE[(crc ^ data[at + i]) & 0xFF] ^ (crc >> 8)
    crc ^= np.uint32(0xFFFFFFFF)
    masked = ((crc >> 15) | (crc << 17)) + np.uint32(_MASK_DELTA)
    stored = np.zeros(len(at), np.uint32)
    for i in range(4):
        stored |= data[at + 8 + i].astype(np.uint32) << np.uint32(8 * i)
    return [int(i) for i in at[masked == stored]]
