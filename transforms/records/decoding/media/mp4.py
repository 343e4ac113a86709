"""MP4, M4A, MOV and 3GP: ISO/IEC 14496-12, boxes of a 32-bit size and a name of four letters."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from melbeam.transforms.records.decoding.media import mp4_fragments
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
from melbeam.transforms.records.decoding.media.stated import Media, cut, damaged

_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp")
# One that is not known may be one of these with a flipped bit, and FFmpeg would leave it out.
_TOP_BOXES = (
    *_FIRST_BOXES,
    b"moof",
    b"mfra",
    b"sidx",
    b"ssix",
    b"emsg",
    b"prft",
    b"meta",
    b"uuid",
    b"udta",
    b"pdin",
    b"pnot",
    b"PICT",
    b"junk",
    b"beam",
)
# Ticks a second of movies. An edit that leaves audio out is not taken on the word of any other number, of which a
# flipped bit would make it longer or shorter.
_MOVIE_SCALES: tuple[int, ...] = (
    600,
    1000,
    1800,
    2500,
    10_000,
    12_800,
    15_360,
    24_000,
    30_000,
    60_000,
    90_000,
    1_000_000,
    10_000_000,
)
_MOVIE_SCALES += (8000, 11_025, 12_000, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000)


def read(data: bytes) -> Media | None:
    """What an MP4 states of its first track of sound; None for another format."""
    if len(data) < 8 or data[4:8] not in _FIRST_BOXES:
        return None
    top = list(boxes(data, 0, len(data)))
    for name, start, _ in top:
        if name not in _TOP_BOXES:
            raise damaged(NAME, f"a box {name.decode('latin-1')!r} in front of byte {start}")
    for only in (b"ftyp", b"moov"):
        if sum(name == only for name, *_ in top) > 1:
            raise damaged(NAME, f"two boxes {only.decode()}: two files, one behind the other")
    movie = next(((start, end) for name, start, end in top if name == b"moov"), None)
    if movie is None:
        raise damaged(NAME, "it has no index (moov), which stands at the end of a recording that was stopped well")
    track = next((t for t in _sound_tracks(data, *movie)), None)
    if track is None:
        raise damaged(NAME, "it has no track of sound")
    if any(name == b"moof" for name, *_ in top):
        return mp4_fragments.stated(data, movie, track, top)
    return _stated(data, track, field(data, child(data, *movie, b"mvhd"), "timescale"), top)


def _sound_tracks(data: bytes, start: int, end: int) -> Iterator[Span]:
    for name, s, e in boxes(data, start, end):
        if name == b"trak":
            handler, handler_end = child(data, s, e, b"mdia", b"hdlr")
            if data[handler + 8 : min(handler + 12, handler_end)] == b"soun":
                yield s, e


def _stated(data: bytes, track: Span, movie_scale: int, top: list[tuple[bytes, int, int]]) -> Media:
    media = child(data, *track, b"mdia")
    header = child(data, *media, b"mdhd")
    scale = field(data, header, "timescale")
    if not scale or not movie_scale:
        raise damaged(NAME, "a time scale of 0")
    table = child(data, *media, b"minf", b"stbl")
    codec = codec_of(data, table, scale)
    rows = list(entries(data, child(data, *table, b"stts"), ">II"))
    num_frames, ticks = sum(count for count, _ in rows), sum(count * each for count, each in rows)
    sizes = _sizes(data, table)
    if len(sizes) != num_frames:
        raise damaged(NAME, f"times for {num_frames} frames, sizes for {len(sizes)}")
    _check_places(data, table, sizes, [(s, e) for name, s, e in top if name == b"mdat"])
    duration = field(data, header, "duration")
    largest = max((each for _, each in rows), default=0)
    # Some writers count the last frame as full.
    if duration and min(abs(duration - right) for right in (ticks, num_frames * largest)):
        raise damaged(NAME, f"its frames come to {ticks} ticks of 1/{scale} s, its header says {duration}")
    edits = edits_of(data, track)
    if edits is None:
        return codec.media(Fraction(ticks, scale))
    stated = field(data, child(data, *track, b"tkhd"), "track's duration")
    total = sum(length for length, _ in edits)
    if abs(stated - total) > len(edits):
        raise damaged(NAME, f"its edits come to {total} ticks of 1/{movie_scale} s, its track says {stated}")
    seconds = Fraction(0)
    # The edit's length is rounded to the movie's time scale, often a millisecond; the table of times is exact.
    rounding = Fraction(1, movie_scale)
    for length, first in edits:
        if first == PAUSE:
            continue
        there = Fraction(max(0, ticks - first), scale)
        given = Fraction(length, movie_scale)
        is_whole = any(
            abs(Fraction(each, movie_scale) - there) <= rounding for each in {length, stated - total + length}
        )
        if first not in codec.delays:
            _check_start(first, codec.delays, round(2 * rounding * scale))
        if is_whole or not length:
            seconds += there
        elif given > there or movie_scale not in _MOVIE_SCALES:
            told = f"an edit of {float(given):.3f} s ({length} / {movie_scale})"
            raise damaged(NAME, f"{told}, of which {float(there):.3f} s are there")
        else:
            seconds += given
    more_than_one = sum(first != PAUSE for _, first in edits) > 1
    slack = (
        Fraction(largest * len(edits), scale) if more_than_one else rounding
    )  # FFmpeg goes by the edit's length
    return replace(
        codec.media(seconds), tolerance=slack, is_trimmed=not more_than_one, has_times=not more_than_one
    )


def _check_start(first: int, delays: tuple[int, ...], rounding: int) -> None:
    """Refuses an edit that begins one flipped bit away from an encoder's delay, if its length fits both.

    Raises:
        Reject: bad_audio.
    """
    for delay in delays:
        is_bit = (first ^ delay).bit_count() == 1
        if is_bit and (abs(first - delay) <= rounding or (first and delay and len(delays) == 1)):
            raise damaged(NAME, f"an edit begins at sample {first}, a bit from {delay}, as encoders have it")


def _sizes(data: bytes, table: Span) -> list[int]:
    """Bytes of each frame."""
    box = child(data, *table, b"stsz")
    if box[1] - box[0] < 12:
        raise damaged(NAME, "a table of sizes without its header")
    fixed, count = struct.unpack_from(">II", data, box[0] + 4)
    if fixed:
        if fixed * count > len(data):
            raise cut(NAME, fixed * count, len(data))
        return [fixed] * count
    return [size for (size,) in entries(data, box, ">I", skip=4)]


def _check_places(data: bytes, table: Span, sizes: list[int], spaces: list[Span]) -> None:
    """Every chunk of frames lies in the file's media data."""
    names = {name for name, *_ in boxes(data, *table)}
    wide = b"co64" in names
    places = [
        p for (p,) in entries(data, child(data, *table, b"co64" if wide else b"stco"), ">Q" if wide else ">I")
    ]
    runs = list(entries(data, child(data, *table, b"stsc"), ">III"))
    number = 0
    for index, (first, frames_a_chunk, _) in enumerate(runs):
        last = runs[index + 1][0] - 1 if index + 1 < len(runs) else len(places)
        if not 1 <= first <= last + 1 <= len(places) + 1:
            raise damaged(NAME, f"chunks {first} to {last} of {len(places)}")
        for place in places[first - 1 : last]:
            end = place + sum(sizes[number : number + frames_a_chunk])
            number += frames_a_chunk
            if number > len(sizes):
                raise damaged(NAME, f"places for more than {len(sizes)} frames")
            if not any(start <= place and end <= stop for start, stop in spaces):
                raise damaged(NAME, f"frames at bytes {place} to {end}, outside its media data")
    if number != len(sizes):
        raise damaged(NAME, f"places for {number} frames, sizes for {len(sizes)}")
