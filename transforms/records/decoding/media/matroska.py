"""WebM and Matroska: RFC 8794 (EBML) and RFC 9559, elements of an identifier, a size and content."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction

from melbeam.transforms.records.decoding.media.stated import Media, cut, damaged

NAME = "WebM (Matroska)"
_MAGIC = b"\x1a\x45\xdf\xa3"
_SEGMENT, _CLUSTER, _INFO = 0x18538067, 0x1F43B675, 0x1549A966
_TIMESTAMP_SCALE, _DURATION = 0x2AD7B1, 0x4489
# What may stand in a segment: where one of them follows, a cluster of unknown size has ended.
_IN_SEGMENT = (_CLUSTER, _INFO, 0x114D9B74, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, 0xEC, 0xBF)
_IN_CLUSTER = (0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, 0xEC, 0xBF)
_CRC32 = b"\xbf\x84"  # its identifier and its size, 4
_MAX_NUMBER = 8  # bytes
_NUMBERS = (0xE7, 0xA7, 0xAB)  # of those in a cluster
_DEFAULT_SCALE = 1_000_000  # nanoseconds a tick


def read(data: bytes) -> Media | None:
    """What a WebM states; None for another format."""
    if data[:4] != _MAGIC:
        return None
    scale, duration = _DEFAULT_SCALE, None
    num_clusters = 0
    for identifier, start, end in _segment(data):
        # One that is not known may be one of these with a flipped bit, and FFmpeg would leave it out.
        if identifier not in _IN_SEGMENT:
            raise damaged(NAME, f"an element {identifier:#x} in front of byte {start}")
        _check_sum(data, identifier, start, end)
        if identifier == _CLUSTER:
            num_clusters += 1
            for inner, s, e in _elements(data, start, end):
                if inner not in _IN_CLUSTER or (inner in _NUMBERS and e - s > _MAX_NUMBER):
                    raise damaged(NAME, f"an element {inner:#x} of {e - s} bytes in front of byte {s}")
        elif identifier == _INFO:
            for inner, s, e in _elements(data, start, end):
                if inner == _TIMESTAMP_SCALE:
                    scale = int.from_bytes(data[s:e], "big")
                elif inner == _DURATION and e - s in (4, 8):
                    (duration,) = struct.unpack(">f" if e - s == 4 else ">d", data[s:e])
    if not num_clusters:
        raise damaged(NAME, "it has no clusters of blocks")
    if duration is None:  # a browser that records cannot know it
        return Media(NAME, "matroska", None, has_times=True)
    if not 0 < duration < 1e15 or not 0 < scale < 1e12:
        raise damaged(NAME, f"a duration of {duration} ticks of {scale} ns")
    return Media(
        NAME, "matroska", Fraction(duration) * scale / 10**9, tolerance=Fraction(2 * scale, 10**9), has_times=True
    )


def _check_sum(data: bytes, identifier: int, start: int, end: int) -> None:
    """Holds an element against the CRC-32 that it may begin with, which FFmpeg passes over (RFC 8794, 11.3.1)."""
    if data[start : start + 2] != _CRC32 or end - start < 6:
        return
    if zlib.crc32(memoryview(data)[start + 6 : end]) != int.from_bytes(data[start + 2 : start + 6], "little"):
        raise damaged(NAME, f"the checksum of the element {identifier:#x} at byte {start} does not hold")


def _number(data: bytes, at: int, end: int, *, keep_marker: bool) -> tuple[int, int, bool]:
    """A number of 1 to 8 bytes, the place behind it, and whether all its bits are 1, which stands for unknown."""
    first = data[at] if at < end else 0
    length = 9 - first.bit_length()
    if not first or at + length > end:
        raise cut(NAME, at + max(1, length), end)
    value = int.from_bytes(data[at : at + length], "big")
    mask = (1 << 7 * length) - 1
    return value if keep_marker else value & mask, at + length, value & mask == mask


def _segment(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The elements of the segment, those of clusters of unknown size walked too."""
    at, total = 0, len(data)
    seen = False
    while at < total:
        if not any(data[at : at + 64]) and not any(data[at:]):
            return
        identifier, at, _ = _number(data, at, total, keep_marker=True)
        size, at, unknown = _number(data, at, total, keep_marker=False)
        end = total if unknown else at + size
        if end > total:
            raise cut(NAME, end, total)
        if identifier == _SEGMENT:
            if seen:
                raise damaged(NAME, f"a second segment at byte {at}: two files, one behind the other")
            seen = True
            yield from _elements(data, at, end, into_clusters=True)
        elif seen and identifier == int.from_bytes(_MAGIC, "big"):
            raise damaged(NAME, f"a second header at byte {at}: two files, one behind the other")
        at = end
    if not seen:
        raise damaged(NAME, "it has no segment")


def _elements(data: bytes, at: int, end: int, *, into_clusters: bool = False) -> Iterator[tuple[int, int, int]]:
    """Identifier, beginning and end of each element, one behind the other, to the very end."""
    while at < end:
        start = at
        identifier, at, _ = _number(data, at, end, keep_marker=True)
        size, at, unknown = _number(data, at, end, keep_marker=False)
        if unknown:
            if not into_clusters or identifier != _CLUSTER:
                raise damaged(NAME, f"an element {identifier:#x} of unknown size at byte {start}")
            stop = _end_of_cluster(data, at, end)
        else:
            stop = at + size
        if stop > end:
            raise cut(NAME, stop, end)
        yield identifier, at, stop
        at = stop


def _end_of_cluster(data: bytes, at: int, end: int) -> int:
    while at < end:
        start = at
        identifier, at, _ = _number(data, at, end, keep_marker=True)
        if identifier in _IN_SEGMENT and identifier not in (0xEC, 0xBF):
            return start
        size, at, unknown = _number(data, at, end, keep_marker=False)
        if unknown:
            raise damaged(NAME, f"an element {identifier:#x} of unknown size at byte {start}")
        if at + size > end:
            raise cut(NAME, at + size, end)
        at += size
    return end
