"""WebM and Matroska: RFC 8794 (EBML) and RFC 9559, elements of an identifier, a size and content."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

from melbeam.transforms.records.containers.ogg import OPUS_RATE
from melbeam.transforms.records.decoding.media import matroska_opus
from melbeam.transforms.records.decoding.media.matroska_opus import MAX_NUMBER, NAME, Block
from melbeam.transforms.records.decoding.media.stated import Media, cut, damaged

_MAGIC = b"\x1a\x45\xdf\xa3"
_SEGMENT, _CLUSTER, _INFO = 0x18538067, 0x1F43B675, 0x1549A966
_TIMESTAMP_SCALE, _DURATION, _WRITER = 0x2AD7B1, 0x4489, 0x4D80
_EXACT_WRITERS = (b"Lavf", b"GStreamer")  # whose durations end where the audio does
# What may stand in a segment: where one of them follows, a cluster of unknown size has ended.
_IN_SEGMENT = (_CLUSTER, _INFO, 0x114D9B74, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, 0xEC, 0xBF)
_IN_CLUSTER = (0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, 0xEC, 0xBF)
_TRACKS, _TRACK = 0x1654AE6B, 0xAE
_NUMBER, _TYPE, _CODEC, _PRIVATE, _DELAY, _AUDIO, _CHANNELS = 0xD7, 0x83, 0x86, 0x63A2, 0x56AA, 0xE1, 0x9F
_SOUND = 2  # a type of tracks
_TIMESTAMP, _SIMPLE_BLOCK, _BLOCK, _DISCARDED = 0xE7, 0xA3, 0xA1, 0x75A2
_BEGINNING = 16  # bytes of a block: its track's number, time, flags, and the first two of a packet
_LACED = 6  # bits of a block's flags
_BLOCK_GROUP = 0xA0
# The block, its duration, what it refers to, additions, discarded samples, slices and those of older versions.
_IN_GROUP = (0xA1, 0x9B, 0xFA, 0xFB, 0xFD, 0xA4, 0x75A1, 0x75A2, 0x8E, 0xA2, 0xAF, 0xC8, 0xEC, 0xBF)
_CRC32 = b"\xbf\x84"  # its identifier and its size, 4
_NUMBERS = (0xE7, 0xA7, 0xAB)  # of those in a cluster
_MAX_DIFFERENCE = Fraction(127, 1000)  # s; a packet of Opus, and what is left out in front
_DEFAULT_SCALE = 1_000_000  # nanoseconds a tick


def read(data: bytes) -> Media | None:
    """What a WebM states; None for another format."""
    if data[:4] != _MAGIC:
        return None
    found = _Found()
    for identifier, start, end in _segment(data):
        # One that is not known may be one of these with a flipped bit, and FFmpeg would leave it out.
        if identifier not in _IN_SEGMENT:
            raise damaged(NAME, f"an element {identifier:#x} in front of byte {start}")
        _check_sum(data, identifier, start, end)
        if identifier == _CLUSTER:
            _read_cluster(data, start, end, found)
        elif identifier == _TRACKS:
            found.tracks = [_track(data, s, e) for inner, s, e in _elements(data, start, end) if inner == _TRACK]
        elif identifier == _INFO:
            _read_info(data, start, end, found)
    return _media(data, found)


@dataclass(frozen=True)
class _Track:
    """What a track says of itself; `delay` is in nanoseconds."""

    number: int
    type: int
    codec: bytes
    private: bytes
    delay: int
    channels: int


@dataclass
class _Found:
    """What was found in a segment.

    Attributes:
        scale: nanoseconds a tick.
        duration: ticks, as it is stated; None where it is not, as by a browser that records.
        writer: the name of the program that wrote it.
        num_clusters: of blocks.
        tracks: all of them.
        blocks: of each, the cluster's time in ticks, and its own byte and size.
        discarded: nanoseconds that blocks say are left out at their ends.
    """

    scale: int = _DEFAULT_SCALE
    duration: float | None = None
    writer: bytes = b""
    num_clusters: int = 0
    tracks: list[_Track] = field(default_factory=list)
    blocks: list[tuple[int, int, int]] = field(default_factory=list)
    discarded: list[int] = field(default_factory=list)


def _media(data: bytes, found: _Found) -> Media:
    """The media of what was found, held against itself."""
    scale, duration = found.scale, found.duration
    if not found.num_clusters:
        raise damaged(NAME, "it has no clusters of blocks")
    if not 0 < scale < 1e12 or (duration is not None and not 0 < duration < 1e15):
        raise damaged(NAME, f"a duration of {duration} ticks of {scale} ns")
    seconds = None if duration is None else Fraction(duration) * scale / 10**9
    media = Media(NAME, "matroska", seconds, tolerance=Fraction(2 * scale, 10**9), has_times=True)
    sound = next((track for track in found.tracks if track.type == _SOUND), None)
    if sound is None:
        raise damaged(NAME, "it has no track of sound")
    ours = list(_blocks_of(data, sound, found))
    if sound.codec != b"A_OPUS":
        return media
    return _opus(media, sound, ours, found.discarded, is_exact=found.writer.startswith(_EXACT_WRITERS))


def _read_info(data: bytes, start: int, end: int, found: _Found) -> None:
    """Notes the duration, its unit and who wrote the file."""
    for inner, s, e in _elements(data, start, end):
        if inner == _TIMESTAMP_SCALE:
            found.scale = int.from_bytes(data[s:e], "big")
        elif inner == _WRITER:
            found.writer = data[s:e]
        elif inner == _DURATION and e - s in (4, 8):
            (found.duration,) = struct.unpack(">f" if e - s == 4 else ">d", data[s:e])


def _read_cluster(data: bytes, start: int, end: int, found: _Found) -> None:
    """Notes a cluster's blocks."""
    found.num_clusters += 1
    time = 0
    for inner, s, e in _elements(data, start, end):
        if inner not in _IN_CLUSTER or (inner in _NUMBERS and e - s > MAX_NUMBER):
            raise damaged(NAME, f"an element {inner:#x} of {e - s} bytes in front of byte {s}")
        if inner == _TIMESTAMP:
            time = int.from_bytes(data[s:e], "big")
        elif inner == _SIMPLE_BLOCK:
            found.blocks.append((time, s, e - s))
        elif inner == _BLOCK_GROUP:
            _read_group(data, s, e, time, found)


def _read_group(data: bytes, start: int, end: int, time: int, found: _Found) -> None:
    """Notes the block of a group, in a cluster of that time, and what is left out at its end."""
    for inner, s, e in _elements(data, start, end):
        if inner not in _IN_GROUP:
            raise damaged(NAME, f"an element {inner:#x} in a group of blocks, in front of byte {s}")
        if inner == _BLOCK:
            found.blocks.append((time, s, e - s))
        elif inner == _DISCARDED:
            found.discarded.append(int.from_bytes(data[s:e], "big", signed=True))


def _track(data: bytes, start: int, end: int) -> _Track:
    found = {inner: data[s:e] for inner, s, e in _elements(data, start, end)}
    for name in (_NUMBER, _TYPE, _DELAY):
        if len(found.get(name, b"")) > MAX_NUMBER:
            raise damaged(NAME, f"an element {name:#x} of {len(found[name])} bytes in the track at byte {start}")
    audio = found.get(_AUDIO, b"")
    channels = {inner: audio[s:e] for inner, s, e in _elements(audio, 0, len(audio))}.get(_CHANNELS, b"\1")
    number, kind, delay = (int.from_bytes(found.get(name, b""), "big") for name in (_NUMBER, _TYPE, _DELAY))
    codec, private = found.get(_CODEC, b"").rstrip(b"\0"), found.get(_PRIVATE, b"")
    return _Track(number, kind, codec, private, delay, int.from_bytes(channels, "big"))


def _blocks_of(data: bytes, track: _Track, found: _Found) -> Iterator[Block]:
    """The blocks of a track. One of a track that is not there may be one of these, and FFmpeg leaves it out."""
    numbers = {track.number for track in found.tracks}
    for cluster, at, size in found.blocks:
        content = data[at : at + min(size, _BEGINNING)]
        number, head, _ = _number(content, 0, len(content), keep_marker=False)
        if number not in numbers or head + 3 > size:
            raise damaged(NAME, f"the block at byte {at} is of track {number}, which is not there")
        if number == track.number:
            time = (cluster + int.from_bytes(content[head : head + 2], "big", signed=True)) * found.scale
            yield Block(time, bool(content[head + 2] & _LACED), content[head + 3 : head + 5], at)


def _opus(media: Media, track: _Track, blocks: list[Block], discarded: list[int], *, is_exact: bool) -> Media:
    """The media of an Opus track, counted to the sample where its headers agree on what is left out in front."""
    skipped = matroska_opus.pre_skip(track.private, track.delay)
    if track.private[9] != track.channels:
        raise damaged(NAME, f"its Opus is of {track.private[9]} channels, its track of {track.channels}")
    seconds = matroska_opus.seconds(blocks, discarded, skipped or 0, media.seconds if is_exact else None)
    media = replace(media, num_channels=track.channels)
    if skipped is None or seconds is None:
        return media
    if media.seconds is not None and abs(media.seconds - seconds) > _MAX_DIFFERENCE + media.tolerance:
        told = f"its packets come to {float(seconds):.3f} s, its duration is {float(media.seconds):.3f} s"
        raise damaged(NAME, told)
    return replace(media, seconds=seconds, tolerance=Fraction(2, OPUS_RATE), allows_a_frame=False)


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
