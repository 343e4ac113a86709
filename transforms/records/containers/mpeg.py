"""MPEG audio, MP3 above all: every frame is counted and given to libsndfile behind a header with that count.

A stream is a chain of frames, each of which says how long it is, so that a frame that is damaged or cut shows
where the chain breaks. What is in front of it and behind it is left out: tags, zeros, the rest of a frame. The
first frame of most files is none of audio but holds the number of frames, by which the encoder proves that the
file is whole (http://gabriel.mp3-tech.org/mp3infotag.html).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from melbeam.transforms.records.containers import tags
from melbeam.transforms.records.containers.checksums import lame_crc16
from melbeam.transforms.records.containers.contents import Contents, Part, Tolerance, cut
from melbeam.transforms.records.rejects import Reject

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # Hz, by the version's bits
_VERSION_1 = 3
_LAYER_1 = 3
_LAYER_NAMES = {3: "MPEG layer I", 2: "MPEG layer II", 1: "MP3"}
_KBPS = {  # by whether the version is 1, and the layer's bits
    (True, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SYNC = re.compile(rb"\xff[\xe2-\xff]")
_MAX_FREE_FRAME = 4608  # bytes; as far as mpg123 looks for the next frame of a free bit rate
_MIN_CHAIN = 4  # frames one behind the other that are no chance: of each, 20 bits or so are known
_DECODER_DELAY = 529  # samples that an MP3 decoder is late, which libsndfile's leaves out behind an Info header
_MAX_UNCOUNTED_ZEROS = 2048  # bytes behind a stream whose header names no count; more may be its lost end
_MAX_DELAY, _MAX_PADDING = 1700, 2900  # samples, more than any encoder is known to put in front and behind
_ENCODERS = (b"LAME", b"Lavf", b"Lavc")
_VBRI_AT = 36  # byte of a frame
_FIRST_PIECE = 512  # frames


@dataclass(frozen=True)
class _Kind:
    """What all frames of a stream have in common."""

    version: int
    layer: int
    rate: int  # Hz
    channels: int

    @property
    def samples_a_frame(self) -> int:
        if self.layer == 3:
            return 384
        return 1152 if self.layer == 2 or self.version == _VERSION_1 else 576

    def __str__(self) -> str:
        return f"{self.rate} Hz and {self.channels} channel{'s' * (self.channels > 1)}"


def _kind_at(data: bytes, at: int) -> _Kind | None:
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] < 0xE0:
        return None
    version, layer, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 2 & 3
    if version == 1 or layer == 0 or rate == 3 or head[2] >> 4 == 15:
        return None
    return _Kind(version, layer, _RATES[version][rate], 1 if head[3] >= 0xC0 else 2)


@lru_cache(maxsize=64)
def _sizes(version: int, layer: int, rate: int, free_size: int = 0) -> dict[int, int]:
    """Bytes of a frame by its second and third byte; one of a free bit rate has `free_size` and its padding."""
    sizes = {}
    for index, kbps in enumerate(((0,) if free_size else _KBPS[version == _VERSION_1, layer]), not free_size):
        for padding in range(2):
            if layer == 3:
                size = free_size + 4 * padding if free_size else (12000 * kbps // rate + padding) * 4
            else:
                slots = 72000 if layer == 1 and version != _VERSION_1 else 144000
                size = (free_size or slots * kbps // rate) + padding
            for private in range(2):
                for unprotected in range(2):
                    second = 0xE0 | version << 3 | layer << 1 | unprotected
                    third = index << 4 | _RATES[version].index(rate) << 2 | padding << 1 | private
                    sizes[second << 8 | third] = size
    return sizes


def _sizes_at(data: bytes, at: int, kind: _Kind) -> dict[int, int]:
    """The sizes of the frames of the stream that begins at `at`; none, where its free bit rate cannot be told."""
    if data[at + 2] >> 4:
        return _sizes(kind.version, kind.layer, kind.rate)
    sync, third = data[at : at + 2], data[at + 2] & 0xFC
    position = at + 4
    while (position := data.find(sync, position + 1, at + _MAX_FREE_FRAME)) > 0:
        if data[position + 2 : position + 3] and data[position + 2] & 0xFC == third:
            padding = (data[at + 2] >> 1 & 1) * (4 if kind.layer == 3 else 1)
            sizes = _sizes(kind.version, kind.layer, kind.rate, position - at - padding)
            if _follow(data, position, len(data), sizes, kind.channels, limit=1)[0]:
                return sizes
    return {}


def _follow(
    data: bytes,
    start: int,
    end: int,
    sizes: dict[int, int],
    channels: int,
    limit: int = 1 << 62,
    starts: list[int] | None = None,
) -> tuple[int, int]:
    """How many whole frames of one kind follow each other from `start` on, and the byte behind them.

    At most `limit` are; where each begins is put into `starts`.
    """
    is_mono = channels == 1
    count, position, last = 0, start, end - 4
    while position <= last and count < limit:
        size = sizes.get(data[position + 1] << 8 | data[position + 2], 0)
        if (
            not size
            or data[position] != 0xFF
            or (data[position + 3] >= 0xC0) is not is_mono
            or position + size > end
        ):
            break
        if starts is not None:
            starts.append(position)
        position += size
        count += 1
    return count, position


def _find_chain(data: bytes, start: int, end: int) -> int:
    """The byte where the first chain of frames begins, at or behind `start`, or -1."""
    for found in _SYNC.finditer(data, start, end):
        at = found.start()
        kind = _kind_at(data, at)
        if kind is None:
            continue
        count, behind = _follow(data, at, end, _sizes_at(data, at, kind), kind.channels, limit=_MIN_CHAIN)
        if count == _MIN_CHAIN or (count and behind == end and (at == start or count > 1)):
            return at
    return -1


def is_mpeg(data: bytes, *, behind_tag: bool) -> bool:
    """Whether the first frames of MPEG audio are found, at once or behind zeros, a tag or the rest of a frame."""
    start = tags.end_of_tags_in_front(data)
    start += tags.size_of_zeros(data, start, len(data))
    end = len(data) if behind_tag else min(len(data), start + (1 << 16))
    return _find_chain(data, start, end) >= 0


def begins_with_two_frames(data: bytes) -> bool:
    """Whether MPEG audio of layer II or III begins at the first byte, and its second frame where the first ends.

    Layer I is left out: its first two bytes are FF FF or FF FE, and the former is also -1 as a 16-bit sample.
    """
    kind = _kind_at(data, 0)
    if kind is None or kind.layer == _LAYER_1:
        return False
    size = _sizes_at(data, 0, kind).get(data[1] << 8 | data[2], 0)
    return size > 0 and _kind_at(data, size) == kind


@dataclass(frozen=True)
class _Info:
    """What a first frame without audio says of the frames behind it (Xing, Info, VBRI)."""

    name: str
    at: int  # byte of the name in its frame
    frames: int | None
    bytes: int | None
    delay: int | None  # samples that the encoder put in front
    padding: int | None  # samples that it put behind
    is_damaged: bool = False  # its checksum does not hold and it would cut off much


def _read_info(frame: bytes, kind: _Kind) -> _Info | None:
    if kind.layer != 1:
        return None
    side = _side_size(kind)
    if frame[_VBRI_AT : _VBRI_AT + 4] == b"VBRI" and len(frame) >= 54:
        num_bytes, num_frames = struct.unpack_from(">II", frame, 46)
        return _Info("VBRI", _VBRI_AT, num_frames, num_bytes, None, None)
    # The name is behind the side information; behind a checksum too, where there is one, by some encoders.
    for at in (4 + side, 6 + side):
        name = frame[at : at + 4]
        if name in (b"Xing", b"Info"):
            break
        if len(name) == 4 and not any(frame[6:at]) and _is_damaged_name(name):
            raise Reject("bad_audio", f"a damaged MP3: the name of its Info header is {name!r}")
    else:
        return None
    if len(frame) < at + 8:
        return _Info(name.decode(), at, None, None, None, None)
    (flags,) = struct.unpack_from(">I", frame, at + 4)
    # Where an encoder's name stands behind all four fields, all four must be there.
    if flags >> 4 or (flags != 15 and frame[at + 120 : at + 124] in _ENCODERS):
        raise Reject("bad_audio", f"a damaged MP3: the flags of its Info header are 0x{flags:08X}")
    position = at + 8
    fields: list[int | None] = []
    for bit in (1, 2):
        fields.append(int.from_bytes(frame[position : position + 4], "big") if flags & bit else None)
        position += 4 * bool(flags & bit)
    position += 100 * bool(flags & 4) + 4 * bool(flags & 8)
    delay = padding = None
    is_damaged = False
    if len(frame) >= position + 36 and frame[position : position + 4].strip(b"\0"):
        packed = int.from_bytes(frame[position + 21 : position + 24], "big")
        delay, padding = packed >> 12, packed & 0xFFF
        checksum = int.from_bytes(frame[position + 34 : position + 36], "big")
        # LAME takes it of all in front; ffmpeg of 190 bytes, whatever the frame has, with zeros in its place.
        if checksum and checksum != lame_crc16(frame[: position + 34]):
            zeroed = frame[: position + 34] + b"\0\0" + frame[position + 36 :]
            holds = checksum in (lame_crc16(frame[:190]), lame_crc16(zeroed[:190].ljust(190, b"\0")))
            is_damaged = not holds and (delay > _MAX_DELAY or padding > _MAX_PADDING)
    return _Info(name.decode(), at, fields[0], fields[1], delay, padding, is_damaged)


def _is_damaged_name(name: bytes) -> bool:
    return any(
        sum((a ^ b).bit_count() for a, b in zip(name, right, strict=True)) <= 2 for right in (b"Xing", b"Info")
    )


@dataclass(frozen=True)
class _Stream:
    """Frames of one kind, one behind the other, and what its first frame says of them."""

    kind: _Kind
    info: _Info | None
    info_start: int  # byte of the Info frame, or of the first frame
    start: int  # byte of the first frame of audio
    end: int
    frames: int  # of audio


def inspect(data: bytes, tolerance: Tolerance) -> Contents:
    """Counts the frames of MPEG audio.

    Raises:
        Reject: bad_audio.
    """
    end = tags.start_of_tags_behind(data)
    front = tags.end_of_tags_in_front(data)
    front += tags.size_of_zeros(data, front, end)
    # From the tag's own beginning on: what it says of its size may be damaged, and skip audio.
    start = _find_chain(data, min(front, 10), end)
    if start < 0:
        raise Reject("bad_audio", f"{len(data)} bytes in which no frames of MPEG audio follow each other")
    first = _kind_at(data, start)
    assert first is not None
    name = _LAYER_NAMES[first.layer]
    _check_front(data, front, start, name)
    streams: list[_Stream] = []
    position = start
    cut_tolerated = False
    while position < end:
        stream = _read_stream(data, position, end, first, name)
        tail = end - stream.end
        promised = None if stream.info is None else stream.info.frames or None
        next_start = _start_of_next(data, stream.end, end)
        if next_start is None and tail:
            cut_tolerated |= _check_tail(data, stream, end, promised, tolerance, name)
        if stream.info is not None:
            cut_tolerated |= _check_promise(stream, tolerance, name)
        streams.append(stream)
        position = end if next_start is None else next_start
    parts = tuple(_part(data, stream) for stream in streams)
    exact = all(_is_exact(stream) for stream in streams)
    remark = "" if len(streams) == 1 else f"{len(streams)} streams were joined in it"
    for stream in streams:
        if stream.info is not None and (stream.info.frames or 0) != stream.frames:
            promised_frames = stream.info.frames or 0
            remark = f"its {stream.info.name} header promises {promised_frames} frames, {stream.frames} are there"
    return Contents(
        format=name,
        sampling_rate=first.rate,
        num_channels=first.channels,
        num_samples=sum(part.num_samples for part in parts),
        tolerance=0 if exact else first.samples_a_frame * len(parts),
        parts=parts,
        cut_tolerated=cut_tolerated,
        remark=remark,
    )


def _check_front(data: bytes, front: int, start: int, name: str) -> None:
    """What lies in front of the chain may be the rest of a frame, but no frame whose header was damaged."""
    head, right = data[front : front + 4], data[start : start + 4]
    if front >= start or len(head) < 4:
        return
    masks = (0xFF, 0xFE, 0x0C, 0xC0)  # version, layer, rate and mode
    apart = sum(((a ^ b) & mask).bit_count() for a, b, mask in zip(head, right, masks, strict=True))
    if apart <= 2:
        raise Reject(
            "bad_audio", f"a damaged {name}: the frame at byte {front} does not end where the next begins"
        )


def _read_stream(data: bytes, start: int, end: int, first: _Kind, name: str) -> _Stream:
    kind = _kind_at(data, start)
    if kind is None or (kind.version, kind.layer, kind.rate, kind.channels) != (
        first.version,
        first.layer,
        first.rate,
        first.channels,
    ):
        layer = f"{_LAYER_NAMES[kind.layer]} of {kind}" if kind else "something else"
        raise Reject("bad_audio", f"the {name} changes at byte {start} from {first} to {layer}")
    sizes = _sizes_at(data, start, kind)
    info_start, count = start, 0
    is_whole, behind = _follow(data, start, end, sizes, kind.channels, limit=1)
    info = _read_info(data[start:behind], kind) if is_whole else None
    if info is not None:
        start = behind
    # In pieces that double, so that many joined files are not each followed to the end of all.
    behind, limit = start, _FIRST_PIECE
    while True:
        starts: list[int] = []
        _, behind = _follow(data, behind, end, sizes, kind.channels, limit, starts)
        joined = next((i for i in _info_frames(data, starts, kind) if count + i or info is None), None)
        if joined is not None and starts[joined] > info_start:
            return _Stream(kind, info, info_start, start, starts[joined], count + joined)
        count += len(starts)
        if len(starts) < limit:
            return _Stream(kind, info, info_start, start, behind, count)
        limit *= 2


def _info_frames(data: bytes, starts: list[int], kind: _Kind) -> list[int]:
    """Which of some frames hold a count, as the first ones of joined files do."""
    if kind.layer != 1 or not starts:
        return []
    offset = 4 + _side_size(kind)
    values = np.frombuffer(data, np.uint8)
    places = np.array(starts)
    places = np.minimum(places, len(data) - 1 - max(offset, _VBRI_AT))
    letters = values[places + offset]
    found = np.flatnonzero((letters == ord("X")) | (letters == ord("I")) | (values[places + _VBRI_AT] == ord("V")))
    return [
        index
        for index in found.tolist()
        if data[starts[index] + offset : starts[index] + offset + 4] in (b"Xing", b"Info")
        or data[starts[index] + _VBRI_AT : starts[index] + _VBRI_AT + 4] == b"VBRI"
        if not any(data[starts[index] + 6 : starts[index] + offset])
    ]


def _side_size(kind: _Kind) -> int:
    """Bytes of a layer III frame's side information, behind its header."""
    if kind.version == _VERSION_1:
        return 32 if kind.channels == 2 else 17
    return 17 if kind.channels == 2 else 9


def _start_of_next(data: bytes, at: int, end: int) -> int | None:
    """Where another stream begins behind tags, or at once with frames of another kind; None at the end."""
    behind_tags = tags.end_of_tags_in_front(data, at)
    if data.startswith(b"TAG", at) and at + 128 < end:  # of a file that another was joined to
        behind_tags = tags.end_of_tags_in_front(data, at + 128)
    zeros = tags.size_of_zeros(data, behind_tags, end)
    if behind_tags > at or zeros:
        behind_tags += zeros
    kind = _kind_at(data, behind_tags) if behind_tags < end else None
    if kind is None:
        return None
    if zeros and behind_tags - zeros == at and _starts_with_info(data, behind_tags, kind) is False:
        return None  # zeros inside a stream are lost frames
    sizes = _sizes_at(data, behind_tags, kind)
    count, behind = _follow(data, behind_tags, end, sizes, kind.channels, limit=2)
    return behind_tags if count == 2 or (count and behind == end) else None


def _starts_with_info(data: bytes, at: int, kind: _Kind) -> bool:
    return _read_info(data[at : at + 200], kind) is not None


def _check_tail(
    data: bytes, stream: _Stream, end: int, promised: int | None, tolerance: Tolerance, name: str
) -> bool:
    """What lies behind the last frame is no audio; returns whether a cut frame was tolerated."""
    if promised is not None and promised <= stream.frames:
        return False
    at = stream.end
    zeros = tags.size_of_zeros(data, at, end)
    if at + zeros == end and zeros <= _MAX_UNCOUNTED_ZEROS:
        return False
    if at + zeros == end:
        raise Reject(
            "bad_audio", f"{zeros} zeros behind the last frame of an {name} that does not say how many it has"
        )
    sizes = _sizes_at(data, stream.start, stream.kind)
    size = sizes.get(data[at + 1] << 8 | data[at + 2], 0) if _kind_at(data, at) == stream.kind else 0
    if at + size > end:
        if tolerance.allows(stream.kind.samples_a_frame, stream.kind.rate):
            return True
        raise cut(name, f"the frame at byte {at}", size, end - at)
    if end - at < 4 and data.find(b"\xff", at, at + 1) == at:
        if tolerance.allows(stream.kind.samples_a_frame, stream.kind.rate):
            return True
        raise Reject("bad_audio", f"a cut {name}: of the frame at byte {at}, {end - at} bytes are there")
    raise Reject("bad_audio", f"a damaged {name}: behind {stream.frames} frames, at byte {at}, no frame begins")


def _check_promise(stream: _Stream, tolerance: Tolerance, name: str) -> bool:
    """The count in the first frame is no larger than what is there; returns whether a cut was tolerated."""
    info = stream.info
    assert info is not None
    there = stream.end - stream.info_start
    if info.frames:
        missing = info.frames - stream.frames
        # Some encoders count the frame that holds the count; where all bytes are there, so are all frames.
        if missing <= 0 or _bytes_hold(stream):
            return False
        if tolerance.allows(missing * stream.kind.samples_a_frame, stream.kind.rate):
            return True
        raise cut(name, f"its {info.name} header", info.frames, stream.frames, "frames")
    if info.bytes is not None and info.bytes > there:
        raise cut(name, f"its {info.name} header", info.bytes, there, "bytes")
    return False


def _bytes_hold(stream: _Stream) -> bool:
    """Whether the first frame says how many bytes there are, with itself or without."""
    info = stream.info
    return info is not None and info.bytes in (stream.end - stream.info_start, stream.end - stream.start)


def _is_exact(stream: _Stream) -> bool:
    info = stream.info
    if info is None or info.delay is None or info.is_damaged:
        return False
    return info.frames == stream.frames or _bytes_hold(stream)


def _part(data: bytes, stream: _Stream) -> Part:
    """The stream behind an Info frame with the true count, without which libsndfile stops at an estimate."""
    kind, info = stream.kind, stream.info
    total = stream.frames * kind.samples_a_frame
    if kind.layer != 1:
        return Part(_cut_out(data, stream.start, stream.end), total)
    if info is None or info.name == "VBRI" or info.is_damaged:
        header = _info_frame(data[stream.start : stream.start + 4], kind, stream.frames)
        return Part(header + data[stream.start : stream.end], max(0, total - _DECODER_DELAY))
    delay, padding = info.delay, info.padding
    has_delay = delay is not None and padding is not None
    there = stream.end - stream.info_start
    if info.frames == stream.frames and info.bytes in (None, there):
        frames = _cut_out(data, stream.info_start, stream.end)
    else:
        changed = bytearray(data[stream.info_start : stream.end])
        if info.frames is None or (has_delay and info.frames < stream.frames and not _bytes_hold(stream)):
            # No place for a count, or padding that is no longer at the end.
            header = _info_frame(data[stream.start : stream.start + 4], kind, stream.frames)
            return Part(header + data[stream.start : stream.end], max(0, total - _DECODER_DELAY))
        struct.pack_into(">I", changed, info.at + 8, stream.frames)
        if info.bytes is not None:
            struct.pack_into(">I", changed, info.at + 12, there)
        frames = bytes(changed)
    if not has_delay:
        return Part(frames, max(0, total - _DECODER_DELAY))
    assert delay is not None
    assert padding is not None
    begin = delay + _DECODER_DELAY
    # mpg123's rule: both ends are moved by the decoder's delay, and nothing lies behind the last frame.
    stop = min(total, total - max(0, padding - _DECODER_DELAY))
    return Part(frames, max(0, stop - begin))


def _cut_out(data: bytes, start: int, end: int) -> bytes:
    return data if (start, end) == (0, len(data)) else data[start:end]


def _info_frame(head: bytes, kind: _Kind, num_frames: int) -> bytes:
    """A first frame without audio that says how many follow; the smallest that has room for that."""
    content = b"\0" * _side_size(kind) + b"Info" + struct.pack(">II", 1, num_frames)
    for index in range(1, 15):
        third = index << 4 | head[2] & 0x0C
        size = _sizes(kind.version, kind.layer, kind.rate).get((head[1] | 1) << 8 | third, 0)
        if size >= 4 + len(content) + 100:
            return (bytes((0xFF, head[1] | 1, third, head[3])) + content).ljust(size, b"\0")
    raise AssertionError("one of the bit rates has room for a count")
