"""TFRecord files, read so that a damaged record costs itself alone, and written with known checksums.

A record is (tensorflow/core/lib/io/record_writer.h)

    uint64 length | uint32 masked CRC32C of length | length bytes of data | uint32 masked CRC32C of data

Where a header does not hold, or a record is cut, the framing is lost. The reader then looks, byte by byte, for
the next place where a length's checksum and its data's checksum both hold, goes on there, and reports the bytes
between as one damage. (So a TFRecord stored whole inside a record's data is found if that record's own header
is broken: its bytes are records by every mark that the format has.)
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import google_crc32c
import numpy as np
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

MAX_RECORD_BYTES = 256 << 20  # 256 MiB
_HEADER, _FOOTER = 12, 4  # bytes
_BLOCK = 1 << 20  # 1 MiB, read at a time
_KEPT_OF_OVER_LIMIT = 64 << 10  # 64 KiB of a record that is too large to keep
_MASK_DELTA = 0xA282EAD8


@dataclass(frozen=True)
class Record:
    """A record that is whole; `number` counts everything yielded, `offset` is in (inflated) bytes."""

    number: int
    offset: int
    data: bytes


@dataclass(frozen=True)
class Damage:
    """A record, or bytes between records, that cannot be used.

    `size` counts all the bytes of the file that it covers, frame included; `data` is the payload where the
    frame holds ("bad_checksum", and its beginning for "over_limit"), else the bytes themselves.
    """

    number: int
    offset: int
    size: int
    reason: str
    detail: str
    data: bytes


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


def read_tfrecord_file(path: str, *, max_record_bytes: int = MAX_RECORD_BYTES) -> Iterator[Record | Damage]:
    """`read_tfrecords` of a path on any of Beam's file systems.

    Raises:
        OSError: the file cannot be opened or read.
    """
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        yield from read_tfrecords(file, max_record_bytes=max_record_bytes)


def read_tfrecords(file: BinaryIO, *, max_record_bytes: int = MAX_RECORD_BYTES) -> Iterator[Record | Damage]:
    """Everything in a TFRecord file, in order; GZIP and ZLIB are recognised by their first bytes.

    Args:
        file: open for reading; it need not be seekable.
        max_record_bytes: a larger record is a damage, "over_limit", and is not held in memory.

    Yields:
        Records, and damages with reason "bad_checksum" (the data's), "bad_framing" or "over_limit". Between them
        they cover every byte of the (inflated) file.
    """
    window = _Window(file)
    number = 0
    if _length(window.peek(_HEADER)) is None and _is_compressed(window.peek(2)):
        window = _Window(_Inflating(window))
    while start := window.peek(_HEADER):
        offset, length = window.offset, _length(start)
        item: Record | Damage
        if length is not None and length > max_record_bytes and window.may_hold(_HEADER + length + _FOOTER):
            item = _over_limit(window, number, length, max_record_bytes)
        elif length is not None and length <= max_record_bytes and (frame := window.peek_frame(length)):
            data = frame[_HEADER:-_FOOTER]
            window.skip(len(frame))
            if _stored_crc(frame) == masked_crc32c(data):
                item = Record(number, offset, data)
            else:
                detail = "the data's checksum does not hold"
                item = Damage(number, offset, len(frame), "bad_checksum", detail, data)
        else:
            item = _resynchronise(window, number, max_record_bytes)
        yield item
        number += 1
    if window.error:
        yield Damage(number, window.offset, 0, "bad_framing", window.error, b"")


class _Window:
    """A file seen through a buffer that grows only as far as the file goes."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._buffer = b""
        self._start = 0  # of the window in the buffer
        self._ended = False
        self.offset = 0  # of the window in the file
        self._size = _size(file)

    @property
    def error(self) -> str:
        """Why the file ended before its time, or nothing."""
        return getattr(self._file, "error", "")

    def peek(self, size: int) -> bytes:
        """The next bytes, fewer at the end of the file; they stay."""
        missing = size - (len(self._buffer) - self._start)
        if missing > 0 and not self._ended:
            parts = [self._buffer[self._start :]]
            while missing > 0:
                block = self._file.read(max(_BLOCK, min(missing, 16 * _BLOCK)))
                if not block:
                    self._ended = True
                    break
                parts.append(block)
                missing -= len(block)
            self._buffer, self._start = b"".join(parts), 0
        return self._buffer[self._start : self._start + size]

    def peek_frame(self, length: int) -> bytes | None:
        """The whole frame of a record, or None where the file ends before it does."""
        size = _HEADER + length + _FOOTER
        if not self.may_hold(size):
            return None
        frame = self.peek(size)
        return frame if len(frame) == size else None

    def may_hold(self, size: int) -> bool:
        """False where the file is known to end sooner."""
        return self._size is None or size <= self._size - self.offset

    def skip(self, size: int) -> int:
        """Goes on by `size` bytes; gives how many there were."""
        left = size
        while left > 0:
            step = min(left, len(self.peek(min(left, _BLOCK))))
            if step == 0:
                break
            # All that is buffered at once, so that a long skip does not copy.
            step = min(left, len(self._buffer) - self._start)
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
        self._inflater = zlib.decompressobj(wbits=47)  # either header
        self._pending = b""
        self.error = ""

    def read(self, size: int) -> bytes:
        while not self.error:
            if self._inflater.eof:
                self._pending = self._inflater.unused_data or self._file.read(_BLOCK)
                if not self._pending:
                    return b""
                self._inflater = zlib.decompressobj(wbits=47)  # the next member
            compressed = self._pending or self._file.read(_BLOCK)
            if not compressed:
                self.error = f"the compressed file is cut at its byte {self._file.offset}"
                return b""
            try:
                inflated = self._inflater.decompress(compressed, size)
            except zlib.error as error:
                self.error = f"the compressed file is damaged before its byte {self._file.offset}: {error}"
                return b""
            self._pending = self._inflater.unconsumed_tail
            if inflated:
                return inflated
        return b""


def _size(file: Any) -> int | None:
    """Bytes from here to the end of a seekable file."""
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
    length, crc = struct.unpack("<QI", header)
    return length if crc == masked_crc32c(header[:8]) else None


def _stored_crc(frame: bytes) -> int:
    return struct.unpack("<I", frame[-_FOOTER:])[0]


def _is_compressed(magic: bytes) -> bool:
    zlib_header = len(magic) == 2 and magic[0] == 0x78 and (magic[0] * 256 + magic[1]) % 31 == 0
    return magic == b"\x1f\x8b" or zlib_header


def _over_limit(window: _Window, number: int, length: int, max_record_bytes: int) -> Damage:
    offset = window.offset
    data = window.peek(_HEADER + _KEPT_OF_OVER_LIMIT)[_HEADER:]
    size = window.skip(_HEADER + length + _FOOTER)
    detail = f"a record of {length} bytes, above {max_record_bytes}; its first {len(data)} bytes are kept"
    return Damage(number, offset, size, "over_limit", detail, data)


def _resynchronise(window: _Window, number: int, max_record_bytes: int) -> Damage:
    """Skips to the next whole record, or to the end of the file."""
    offset = window.offset
    lost = bytearray()
    size = 0

    def lose(count: int) -> None:
        nonlocal size
        kept = window.peek(count)
        lost.extend(kept[: max(0, max_record_bytes - len(lost))])
        size += window.skip(count)

    lose(1)
    while block := window.peek(_BLOCK):
        found = None
        for position in _plausible_headers(block):
            length = _length(block[position : position + _HEADER])
            if length is None or length > max_record_bytes or not window.may_hold(position + _HEADER + length):
                continue
            frame = window.peek(position + _HEADER + length + _FOOTER)[position:]
            if len(frame) == _HEADER + length + _FOOTER and _stored_crc(frame) == masked_crc32c(
                frame[_HEADER:-_FOOTER]
            ):
                found = position
                break
        if found is not None:
            lose(found)
            break
        # A header may begin in the last bytes of a block and end in the next.
        lose(max(1, len(block) - _HEADER + 1) if len(block) == _BLOCK else len(block))
    detail = "the framing is lost: bytes that belong to no whole record"
    if len(lost) < size:
        detail += f"; the first {len(lost)} are kept"
    return Damage(number, offset, size, "bad_framing", detail, bytes(lost))


def _crc32c_table() -> np.ndarray:
    """CRC32C of each byte, for the reflected Castagnoli polynomial."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table


_TABLE = _crc32c_table()


def _plausible_headers(block: bytes) -> list[int]:
    """Positions in the block where 8 bytes are followed by their masked CRC32C; all at once, in NumPy."""
    count = len(block) - _HEADER + 1
    if count <= 0:
        return []
    data = np.frombuffer(block, np.uint8)
    crc = np.full(count, 0xFFFFFFFF, np.uint32)
    for i in range(8):
        crc = _TABLE[(crc ^ data[i : i + count]) & 0xFF] ^ (crc >> 8)
    crc ^= np.uint32(0xFFFFFFFF)
    masked = ((crc >> 15) | (crc << 17)) + np.uint32(_MASK_DELTA)
    stored = np.zeros(count, np.uint32)
    for i in range(4):
        stored |= data[8 + i : 8 + i + count].astype(np.uint32) << np.uint32(8 * i)
    return [int(i) for i in np.flatnonzero(masked == stored)]
