"""TFRecord files, read so that a damaged record costs itself alone, and written with known checksums.

What a record is: `melbeam.transforms.records.tfrecord_frame`. Where a header does not hold, or a record is cut,
the framing is lost. The reader then goes on

1. behind the record itself, if only its length's checksum fails: the data's holds over that length;
2. else at the next place, byte by byte, where a length's checksum and its data's checksum both hold.

The bytes between are one damage. So a TFRecord stored whole inside a record's data stays inside it, unless
that record's own length is damaged or its end is cut off: then the inner records are records by every mark
that the format has, and are yielded. A record above the limit on size is no place to go on at, for its data
is never checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import BinaryIO

import numpy as np

from melbeam.pipelines import files
from melbeam.pipelines.tfrecord.crc32c import TABLE
from melbeam.pipelines.tfrecord.framing import BLOCK, Inflating, Window, inflates, unchecked_length
from melbeam.transforms.records.options import MAX_RECORD_BYTES
from melbeam.transforms.records.tfrecord_frame import FOOTER, HEADER, MASK_DELTA, length_of, masked_crc32c

_FIRST_SCAN = 4 << 10  # 4 KiB, for the next record is mostly near; then twice as much, up to a block
_KEPT_OF_OVER_LIMIT = 64 << 10  # 64 KiB of a record that is too large to keep


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
    window = Window(file)
    if span.start:
        window.skip(span.start)
    elif _is_compressed(window):
        window = Window(Inflating(window))
    number = span.number
    told = False  # whether a damage has said why the stream ended
    while (span.end is None or window.offset < span.end) and (start := window.peek(HEADER)):
        offset, length = window.offset, length_of(start)
        item: Record | Damage
        if length is not None and length > max_record_bytes and window.may_hold(HEADER + length + FOOTER):
            item = _over_limit(window, number, length, max_record_bytes)
        elif length is not None and length <= max_record_bytes and (frame := window.read_frame(length)):
            data, stored = frame
            if stored == masked_crc32c(data):
                item = Record(number, offset, data)
            else:
                detail = f"the data's checksum does not hold: {length} bytes"
                item = Damage(number, offset, HEADER + length + FOOTER, "bad_checksum", detail, data)
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
        window = Window(file, block=_FIRST_SCAN)
        size, number = window.size_bound, 0
        while header := window.peek(HEADER):
            while len(starts) < num_spans and window.offset >= size * len(starts) // num_spans:
                starts.append((window.offset, number))
            length = length_of(header)
            if length is None or not window.may_hold(HEADER + length + FOOTER):
                _resynchronise(window, number, max_record_bytes)
            else:
                window.skip(HEADER + length + FOOTER)
            number += 1
        starts += [(window.offset, number)] * (num_spans + 1 - len(starts))
    return [Span(start, end, first) for (start, first), (end, _) in pairwise(starts)]


def is_compressed(path: str) -> bool:
    """Whether the file is GZIP or ZLIB, as `read_tfrecords` sees it.

    Raises:
        OSError: the file cannot be opened or read.
    """
    with files.open_file(path) as file:
        return _is_compressed(Window(file))


def _is_compressed(window: Window) -> bool:
    return length_of(window.peek(HEADER)) is None and inflates(window.peek(BLOCK))


def _over_limit(window: Window, number: int, length: int, max_record_bytes: int) -> Damage:
    offset = window.offset
    data = window.peek(HEADER + min(length, _KEPT_OF_OVER_LIMIT))[HEADER:]
    size = window.skip(HEADER + length + FOOTER)
    detail = f"a record of {length} bytes, above {max_record_bytes}; its first {len(data)} bytes are kept"
    if size < HEADER + length + FOOTER:  # only where the size of the file was not known
        return Damage(number, offset, size, "bad_framing", f"{detail}; it is cut after {size} bytes", data)
    return Damage(number, offset, size, "over_limit", detail, data)


def _resynchronise(window: Window, number: int, max_record_bytes: int) -> Damage:
    """Skips to the next whole record, or to the end of the file."""
    offset = window.offset
    lost = bytearray()
    size = 0

    def lose(count: int) -> None:
        nonlocal size
        lost.extend(window.peek(min(count, max_record_bytes - len(lost))))
        size += window.skip(count)

    detail = "the framing is lost: bytes that belong to no whole record"
    length = unchecked_length(window.peek(HEADER))
    if length <= max_record_bytes and _holds(window.frame(length)):
        detail = "the length's checksum does not hold; the length and the data's checksum do"
        lose(HEADER + length + FOOTER)
    else:
        lose(1)
        scan = _FIRST_SCAN
        while block := window.peek(scan):
            found = _next_record(window, block, max_record_bytes)
            if found is not None:
                lose(found)
                break
            # A header may begin in the last bytes of a block and end in the next.
            lose(len(block) - HEADER + 1 if len(block) == scan else len(block))
            scan = min(2 * scan, BLOCK)
    if len(lost) < size:
        detail += f"; of {size} bytes the first {len(lost)} are kept"
    return Damage(number, offset, size, "bad_framing", detail, bytes(lost))


def _next_record(window: Window, block: bytes, max_record_bytes: int) -> int | None:
    """The first position in the block, the window's beginning, where a whole record stands."""
    for position in _plausible_headers(block, max_record_bytes):
        length = unchecked_length(block[position : position + HEADER])
        if length <= max_record_bytes and _holds(window.frame(length, position)):
            return position
    return None


def _holds(frame: tuple[bytes, int] | None) -> bool:
    return frame is not None and masked_crc32c(frame[0]) == frame[1]


def _plausible_headers(block: bytes, max_length: int) -> list[int]:
    """Positions in the block where a length up to the limit is followed by its masked CRC32C."""
    count = len(block) - HEADER + 1
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
        crc = TABLE[(crc ^ data[at + i]) & 0xFF] ^ (crc >> 8)
    crc ^= np.uint32(0xFFFFFFFF)
    masked = ((crc >> 15) | (crc << 17)) + np.uint32(MASK_DELTA)
    stored = np.zeros(len(at), np.uint32)
    for i in range(4):
        stored |= data[at + 8 + i].astype(np.uint32) << np.uint32(8 * i)
    return [int(i) for i in at[masked == stored]]
