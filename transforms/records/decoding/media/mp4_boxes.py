"""Boxes of ISO/IEC 14496-12: a 32-bit size, a name of four letters, and what they hold."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from melbeam.transforms.records.decoding.media.stated import cut, damaged

NAME = "M4A (MP4)"
# The boxes that say how long a file is: without one, a file is another, and FFmpeg takes it without a word.
_COUNTING = (
    b"moov mvhd trak tkhd edts elst mdia mdhd hdlr minf stbl stts stsz stsc stco co64".split()
    + b"moof traf tfhd tfdt trun mvex trex mdat".split()
)
_OTHERS = b"mehd mfhd stss sbgp".split()  # names of others, a bit from one of those
_FLIPPED = {
    (int.from_bytes(name, "big") ^ 1 << bit).to_bytes(4, "big") for name in _COUNTING for bit in range(32)
}.difference(_COUNTING, _OTHERS)
PAUSE = -1  # an edit's media_time that stands for no media: a pause before it
Span = tuple[int, int]  # the first byte of what a box holds, and the byte behind it


def boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, beginning and end of what is in each box, one behind the other, to the very end.

    Raises:
        Reject: bad_audio, where one ends beyond `end`, or has a name of no letters or a bit from one that counts.
    """
    while start < end:
        header = 8
        if start + header > end:
            if not any(data[start:end]):
                return  # QuickTime ends some lists of boxes with four zeros
            raise cut(NAME, start + header, end)
        size, name = struct.unpack_from(">I4s", data, start)
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            header = 16
        elif size == 0 and name == b"mdat":
            size = end - start
        if size < header:
            raise damaged(NAME, f"a box of {size} bytes at byte {start}")
        if start + size > end:
            raise cut(NAME, start + size, end)
        if name in _FLIPPED or not _is_name(name):
            raise damaged(NAME, f"a box {name.decode('latin-1')!r} at byte {start}")
        yield name, start + header, start + size
        start += size


def _is_name(name: bytes) -> bool:
    """Whether it is of letters, as QuickTime's own also behind a sign of copyright."""
    return all(0x20 <= byte < 0x7F for byte in name[1:]) and (0x20 <= name[0] < 0x7F or name[0] == 0xA9)


def child(data: bytes, start: int, end: int, *path: bytes) -> Span:
    """The place of a box in boxes in boxes.

    Raises:
        Reject: it is not there.
    """
    for name in path:
        found = next(((s, e) for n, s, e in boxes(data, start, end) if n == name), None)
        if found is None:
            raise damaged(NAME, f"it has no {name.decode('latin-1')}")
        start, end = found
    return start, end


def field(data: bytes, box: Span, name: str) -> int:
    """A number in mvhd, mdhd or tkhd.

    They hold two times, the time scale (tkhd: the track's number and four bytes) and the duration.
    """
    start, end = box
    long = data[start : start + 1] == b"\1"
    offset = start + 4 + (16 if long else 8) + (0 if name == "timescale" else 4 if name == "duration" else 8)
    kind = ">Q" if long and name != "timescale" else ">I"
    if offset + struct.calcsize(kind) > end:
        raise damaged(NAME, f"a header at byte {start} of {end - start} bytes")
    (value,) = struct.unpack_from(kind, data, offset)
    return int(value)


def entries(data: bytes, box: Span, kind: str, skip: int = 0) -> Iterator[tuple[int, ...]]:
    """The rows of a table: version and flags, `skip` bytes, the number of rows, the rows."""
    start, end = box[0] + 4 + skip, box[1]
    size = struct.calcsize(kind)
    count = int.from_bytes(data[start : start + 4], "big")
    if start + 4 + count * size != end:
        raise damaged(NAME, f"a table of {count} rows in {end - start} bytes at byte {start}")
    return struct.iter_unpack(kind, data[start + 4 : start + 4 + count * size])


def edits_of(data: bytes, track: Span) -> list[Span] | None:
    """Length, in the movie's time scale, and beginning, in the track's, of each edit."""
    for name, *span in boxes(data, *track):
        if name == b"edts":
            box = child(data, span[0], span[1], b"elst")
            kind = ">Qqi" if data[box[0] : box[0] + 1] == b"\1" else ">Iii"
            return [(length, first) for length, first, _ in entries(data, box, kind)] or None
    return None
