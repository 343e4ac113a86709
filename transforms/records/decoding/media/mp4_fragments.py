"""The fragments of an MP4: each has a table of its own frames (moof) in front of them (mdat)."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from melbeam.transforms.records.decoding.media.mp4_boxes import NAME, Span, boxes, check_rate, child, field
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
    check_rate(data, track, scale)
    number = _number_of_track(data, track)
    numbers = {_number_of_track(data, (s, e)) for name, s, e in boxes(data, *movie) if name == b"trak"}
    default = 0
    for name, *box in boxes(data, *child(data, *movie, b"mvex")):
        if name == b"trex" and _number(data, (box[0], box[1]), 4) == number:
            default = _number(data, (box[0], box[1]), 12)
    first: int | None = None
    frames: list[int] = []  # the duration of each
    ticks = longest = 0
    for fragment in fragments:
        for name, *box in boxes(data, *fragment):
            _check_name(name, _IN_FRAGMENT, box[0])
            if name == b"traf":
                begins, found = _run(data, (box[0], box[1]), number, numbers, default)
                longest = max((longest, *found))
                if begins is not None:
                    first = begins if first is None else first
                    if abs(begins - first - ticks) > longest // 2:
                        raise damaged(
                            NAME, f"a gap: {first + ticks} ticks of 1/{scale} s are followed by {begins}"
                        )
                ticks += sum(found)
                frames += found
    _check_durations(frames, scale)
    if first:
        raise damaged(NAME, f"its first fragment begins at {first} ticks of 1/{scale} s, not at 0")
    return Media(NAME, "mov", Fraction(ticks, scale), is_trimmed=True, has_times=True)


def _number_of_track(data: bytes, track: Span) -> int:
    header = child(data, *track, b"tkhd")
    return _number(data, header, 20 if data[header[0]] == 1 else 12)


def _check_durations(frames: list[int], scale: int) -> None:
    """Refuses a stretch of frames whose duration is a bit from all others'; rounded times alternate."""
    counts = Counter(frames)
    usual = max(set(frames), key=counts.__getitem__, default=0)
    others = [index for index, each in enumerate(frames[:-1]) if each != usual]
    if not others:
        return
    stretch = frames[others[0] : others[-1] + 1]
    if len(stretch) == len(others) and len(set(stretch)) == 1 and (stretch[0] ^ usual).bit_count() == 1:
        raise damaged(NAME, f"{len(others)} frames of {stretch[0]} ticks of 1/{scale} s, all others have {usual}")


def _run(data: bytes, box: Span, number: int, numbers: set[int], default: int) -> tuple[int | None, list[int]]:
    """Where one track's part of a fragment begins, and how long each of its frames is, in ticks."""
    header = child(data, *box, b"tfhd")
    if _number(data, header, 4) != number:
        if _number(data, header, 4) not in numbers:
            raise damaged(NAME, f"a fragment of a track that it has not, in front of byte {header[1]}")
        return None, []
    flags = _number(data, header, 0) & 0xFFFFFF
    if flags & 0x8:
        default = _number(data, header, 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0))
    begins: int | None = None
    frames: list[int] = []
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
                frames += [int.from_bytes(data[at : at + 4], "big") for at in range(row, span[1], width)]
            elif count > len(data):
                raise damaged(NAME, f"a table of {count} rows in {len(data)} bytes")
            else:
                frames += [default] * count
    return begins, frames


def _check_name(name: bytes, known: tuple[bytes, ...], at: int) -> None:
    if name not in known:
        raise damaged(NAME, f"a box {name.decode('latin-1')!r} in a fragment, in front of byte {at}")


def _number(data: bytes, box: Span, offset: int) -> int:
    if box[0] + offset + 4 > box[1]:
        raise damaged(NAME, f"a header of {box[1] - box[0]} bytes at byte {box[0]}")
    return int.from_bytes(data[box[0] + offset : box[0] + offset + 4], "big")
