"""The fragments of an MP4: each has a table of its own frames (moof) in front of them (mdat)."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from melbeam.transforms.records.decoding.media.mp4_boxes import (
    NAME,
    PAUSE,
    Span,
    boxes,
    child,
    edits_of,
    entries,
    field,
)
from melbeam.transforms.records.decoding.media.mp4_codecs import codec_of
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


def stated(data: bytes, movie: Span, track: Span, top: list[tuple[bytes, int, int]]) -> Media:
    """The length that the tables of all fragments come to, which must follow each other.

    Args:
        data: a whole file.
        movie: its movie box.
        track: the track whose length it is.
        top: name, beginning and end of what is in each of the file's boxes.

    Raises:
        Reject: bad_audio.
    """
    scale = field(data, child(data, *track, b"mdia", b"mdhd"), "timescale")
    if not scale:
        raise damaged(NAME, "a time scale of 0")
    codec = codec_of(data, child(data, *track, b"mdia", b"minf", b"stbl"), scale)
    number = _number_of_track(data, track)
    numbers = {_number_of_track(data, (s, e)) for name, s, e in boxes(data, *movie) if name == b"trak"}
    default = 0
    for name, *box in boxes(data, *child(data, *movie, b"mvex")):
        if name == b"trex" and _number(data, (box[0], box[1]), 4) == number:
            default = _number(data, (box[0], box[1]), 12)
    frames = _frames_in_front(data, track)  # the duration of each
    begun = False
    ticks, longest = sum(frames), max(frames, default=0)
    for fragment in top:
        for name, *box in boxes(data, *fragment[1:]) if fragment[0] == b"moof" else ():
            _check_name(name, _IN_FRAGMENT, box[0])
            if name == b"traf":
                begins, found = _run(data, (box[0], box[1]), number, numbers, default)
                longest = max((longest, *found))
                if begins is not None:
                    if not begun and begins != ticks:
                        told = f"its first fragment begins at {begins} ticks of 1/{scale} s, not at {ticks}"
                        raise damaged(NAME, told)
                    if abs(begins - ticks) > longest // 2:
                        raise damaged(NAME, f"a gap: {ticks} ticks of 1/{scale} s are followed by {begins}")
                begun |= bool(found)
                ticks += sum(found)
                frames += found
    _check_durations(frames, scale)
    if len(numbers) == 1:
        _check_movie(data, movie, Fraction(ticks, scale), Fraction(longest, scale))
    skipped = sum(first for _, first in edits_of(data, track) or () if first != PAUSE)
    _check_index(data, top, number, scale, {ticks - delay for delay in (0, skipped, *codec.delays)})
    _check_places(data, top)
    return codec.media(Fraction(max(0, ticks - skipped), scale))


def _number_of_track(data: bytes, track: Span) -> int:
    header = child(data, *track, b"tkhd")
    return _number(data, header, 20 if _is_long(data, header) else 12)


def _check_movie(data: bytes, movie: Span, seconds: Fraction, frame: Fraction) -> None:
    """A movie of one track may say how long its fragments are (mehd), which shows that the last are missing."""
    for name, *box in boxes(data, *child(data, *movie, b"mvex")):
        if name == b"mehd":
            ticks = _time(data, (box[0], box[1]))
            scale = field(data, child(data, *movie, b"mvhd"), "timescale")
            if ticks and scale and abs(Fraction(ticks, scale) - seconds) > frame + Fraction(1, scale):
                told = f"its fragments come to {float(seconds):.3f} s, its movie says {ticks / scale:.3f} s"
                raise damaged(NAME, told)


def _frames_in_front(data: bytes, track: Span) -> list[int]:
    """The durations of the frames that the movie box itself has, in front of all fragments."""
    table = child(data, *track, b"mdia", b"minf", b"stbl")
    rows = list(entries(data, child(data, *table, b"stts"), ">II"))
    num_frames = sum(count for count, _ in rows)
    num_sizes = _number(data, child(data, *table, b"stsz"), 8)
    if num_frames != num_sizes or num_frames > len(data):
        raise damaged(NAME, f"times for {num_frames} frames, sizes for {num_sizes}, in front of its fragments")
    return [each for count, each in rows for _ in range(count)]


def _check_index(
    data: bytes, top: list[tuple[bytes, int, int]], number: int, scale: int, lengths: set[int]
) -> None:
    """An index of segments (sidx) counts the same frames, the last one's end too; some leave out the delay."""
    total = 0
    for name, *box in top:
        if name != b"sidx":
            continue
        span = (box[0], box[1])
        start = 24 + 8 * _is_long(data, span)
        if _number(data, span, 4) != number or _number(data, span, 8) != scale:
            return
        for row in range(_number(data, span, start - 4) & 0xFFFF):
            if _number(data, span, start + 12 * row) >> 31:
                return  # of indices
            total += _number(data, span, start + 12 * row + 4)
    if total and total not in lengths:
        raise damaged(NAME, f"its fragments come to {max(lengths)} ticks of 1/{scale} s, its index says {total}")


def _check_places(data: bytes, top: list[tuple[bytes, int, int]]) -> None:
    """Where the file says that fragments are (mfra, tfra), there are some."""
    places = {start - 8 for name, start, _ in top if name == b"moof"}
    for name, *inside in top:
        for inner, *box in boxes(data, *inside) if name == b"mfra" else ():
            if inner != b"tfra":
                continue
            span = (box[0], box[1])
            wide = 1 + _is_long(data, span)  # words of a time and of a place
            sizes = _number(data, span, 8)
            row = 8 * wide + sum((sizes >> shift & 3) + 1 for shift in (0, 2, 4))
            for at in range(16, 16 + row * _number(data, span, 12), row):
                place = _number(data, span, at + 8 * wide - 4)
                if place and place not in places:  # GStreamer leaves one row of no place
                    raise damaged(NAME, f"its index names a fragment at byte {place}, where none is")


def _check_durations(frames: list[int], scale: int) -> None:
    """Refuses frames whose duration is one flipped bit away from that of all others; rounded ones alternate."""
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
            begins = _time(data, span)
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


def _is_long(data: bytes, box: Span) -> bool:
    """Whether the version of a box is 1, whose times and places have 64 bits; an empty box has none."""
    return data[box[0] : box[0] + 1] == b"\1"


def _time(data: bytes, box: Span) -> int:
    """The ticks that stand behind the version and the flags of a box."""
    return _number(data, box, 4) << 32 | _number(data, box, 8) if _is_long(data, box) else _number(data, box, 4)


def _number(data: bytes, box: Span, offset: int) -> int:
    if box[0] + offset + 4 > box[1]:
        raise damaged(NAME, f"a header of {box[1] - box[0]} bytes at byte {box[0]}")
    return int.from_bytes(data[box[0] + offset : box[0] + offset + 4], "big")
