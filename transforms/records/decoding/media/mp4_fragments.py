"""The fragments of an MP4: each has a table of its own frames (moof) in front of them (mdat)."""

from __future__ import annotations

from fractions import Fraction

from melbeam.transforms.records.decoding.media.mp4_boxes import NAME, Span, boxes, child, field
from melbeam.transforms.records.decoding.media.stated import Media, damaged

_IN_FRAGMENT = (b"mfhd", b"traf", b"pssh", b"uuid", b"free", b"meta")
_IN_TRACK = (
    b"tfhd",
    b"tfdt",
    b"trun",
    b"sdtp",
    b"sbgp",
    b"sgpd",
    b"subs",
    b"saiz",
    b"saio",
    b"senc",
    b"uuid",
    b"free",
)


def stated(data: bytes, movie: Span, track: Span, fragments: list[Span]) -> Media:
    """The length that the tables of all fragments come to, which must follow each other.

    Raises:
        Reject: bad_audio.
    """
    scale = field(data, child(data, *track, b"mdia", b"mdhd"), "timescale")
    if not scale:
        raise damaged(NAME, "a time scale of 0")
    header = child(data, *track, b"tkhd")
    number = _number(data, header, 20 if data[header[0]] == 1 else 12)
    default = 0
    for name, *box in boxes(data, *child(data, *movie, b"mvex")):
        if name == b"trex" and _number(data, (box[0], box[1]), 4) == number:
            default = _number(data, (box[0], box[1]), 12)
    first: int | None = None
    ticks = longest = 0
    for fragment in fragments:
        for name, *box in boxes(data, *fragment):
            _check_name(name, _IN_FRAGMENT, box[0])
            if name == b"traf":
                begins, found, each = _run(data, (box[0], box[1]), number, default)
                longest = max(longest, each)
                if begins is not None:
                    first = begins if first is None else first
                    if abs(begins - first - ticks) > longest // 2:
                        raise damaged(
                            NAME, f"a gap: {first + ticks} ticks of 1/{scale} s are followed by {begins}"
                        )
                ticks += found
    if first:
        raise damaged(NAME, f"its first fragment begins at {first} ticks of 1/{scale} s, not at 0")
    return Media(NAME, "mov", Fraction(ticks, scale), is_trimmed=True, has_times=True)


def _run(data: bytes, box: Span, number: int, default: int) -> tuple[int | None, int, int]:
    """Where one track's part of a fragment begins, how long it is, and its longest frame, all in ticks."""
    header = child(data, *box, b"tfhd")
    if _number(data, header, 4) != number:
        return None, 0, 0
    flags = _number(data, header, 0) & 0xFFFFFF
    if flags & 0x8:
        default = _number(data, header, 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0))
    begins: int | None = None
    ticks = longest = 0
    for name, *inner in boxes(data, *box):
        span = (inner[0], inner[1])
        _check_name(name, _IN_TRACK, span[0])
        if name == b"tfdt":
            long = data[span[0]] == 1
            begins = _number(data, span, 4) << 32 | _number(data, span, 8) if long else _number(data, span, 4)
        elif name == b"trun":
            flags, count = _number(data, span, 0) & 0xFFFFFF, _number(data, span, 4)
            width = 4 * (flags >> 8 & 0xF).bit_count()
            row = span[0] + 8 + (4 if flags & 0x1 else 0) + (4 if flags & 0x4 else 0)
            if row + width * count != span[1]:
                raise damaged(NAME, f"a table of {count} rows of {width} bytes in {span[1] - row} at byte {row}")
            if flags & 0x100:
                frames = [int.from_bytes(data[at : at + 4], "big") for at in range(row, span[1], width)]
                ticks, longest = ticks + sum(frames), max([longest, *frames])
            else:
                ticks, longest = ticks + count * default, max(longest, default)
    return begins, ticks, longest


def _check_name(name: bytes, known: tuple[bytes, ...], at: int) -> None:
    if name not in known:
        raise damaged(NAME, f"a box {name.decode('latin-1')!r} in a fragment, in front of byte {at}")


def _number(data: bytes, box: Span, offset: int) -> int:
    if box[0] + offset + 4 > box[1]:
        raise damaged(NAME, f"a header of {box[1] - box[0]} bytes at byte {box[0]}")
    return int.from_bytes(data[box[0] + offset : box[0] + offset + 4], "big")
