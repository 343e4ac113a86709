"""MPEG audio, MP3 above all: every frame is counted and given to libsndfile behind a header with that count.

A stream is a chain of frames, each of which says how long it is, so that a frame that is damaged or cut shows
where the chain breaks. What is in front of it and behind it is left out: tags, zeros, the rest of a frame. The
first frame of most files is none of audio but holds the number of frames, by which the encoder proves that the
file is whole (http://gabriel.mp3-tech.org/mp3infotag.html).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from melbeam.transforms.records.containers import tags
from melbeam.transforms.records.containers.contents import Contents, Part, Tolerance, cut
from melbeam.transforms.records.containers.mpeg_frames import (
    LAYER_NAMES,
    Kind,
    check_lengths,
    find_chain,
    follow,
    kind_at,
    sizes_at,
)
from melbeam.transforms.records.containers.mpeg_info import (
    Info,
    info_frame,
    info_frames_of,
    place_of_count,
    read_info,
)
from melbeam.transforms.records.rejects import Reject

DECODER_DELAY = 529  # samples that an MP3 decoder is late, which libsndfile's leaves out behind an Info header
_MAX_ZEROS = 2048  # bytes behind a stream whose header names no count; more may be its lost end
_MIN_ZEROS = 8  # bytes with which no rest of a frame begins by chance
_PADDED = 2  # the bit of a header's third byte that makes a frame a slot longer
_FIRST_PIECE, _NEXT_PIECE = 512, 32  # frames, of the first stream and of those joined to it


def is_mpeg(data: bytes, *, behind_tag: bool) -> bool:
    """Whether the first frames of MPEG audio are found, at once or behind zeros, a tag or the rest of a frame."""
    start = tags.start_of_content(data)
    end = len(data) if behind_tag else min(len(data), start + (1 << 16))
    return find_chain(data, start, end) >= 0


@dataclass(frozen=True)
class _Stream:
    """Frames of one kind, one behind the other, and what its first frame says of them."""

    kind: Kind
    info: Info | None
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
    front = tags.start_of_content(data, end)
    # From the tag's own beginning on: what it says of its size may be damaged, and skip audio. A tag whose frames
    # fill it is none of these; one may hold a preview, or a picture that has headers of frames in it.
    start = find_chain(data, front if tags.is_whole_id3(data, front) else min(front, 10), end)
    if start < 0:
        raise Reject("bad_audio", f"{len(data)} bytes in which no frames of MPEG audio follow each other")
    first = kind_at(data, start)
    assert first is not None
    name = LAYER_NAMES[first.layer]
    _check_front(data, tags.end_of_tags_in_front(data), front, start, first, name)
    streams: list[_Stream] = []
    position = start
    cut_tolerated = False
    while position < end:
        piece = _NEXT_PIECE if streams else _FIRST_PIECE
        stream = _read_stream(data, position, end, first, name, piece)
        tail = end - stream.end
        promised = None if stream.info is None else stream.info.frames or None
        next_start = _start_of_next(data, stream.end, end)
        if next_start is None and tail:
            cut_tolerated |= _check_tail(data, stream, end, promised, tolerance, name)
        if stream.info is not None:
            cut_tolerated |= _check_promise(data, stream, tolerance, name)
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


def _check_front(data: bytes, tagged: int, front: int, start: int, first: Kind, name: str) -> None:
    """What lies in front of the chain may be the rest of a frame, but no frame whose header was damaged.

    Args:
        data: a whole file.
        tagged: the byte behind the tags in front.
        front: the byte behind the zeros that follow those.
        start: the byte where the chain begins.
        first: the kind of its frames.
        name: for people.

    Raises:
        Reject: bad_audio.
    """
    if front >= start:
        return
    if (count_at := place_of_count(data, start)) >= 0:
        told = f"its count of frames is at byte {count_at}, but no frame begins in front of it"
        raise Reject("bad_audio", f"a damaged {name}: {told}")
    right = data[start : start + 4]
    sizes = sizes_at(data, start, first)
    longest = max(sizes.values(), default=start)
    behind = start + sizes.get(right[1] << 8 | right[2], 0)
    is_constant = data[behind + 2 : behind + 3] in (right[2:3], bytes([right[2] ^ _PADDED]))
    if is_constant:
        longest = sizes.get(right[1] << 8 | right[2] | _PADDED, longest)
    masks = (0xFF, 0xFE, 0x0C, 0xC0)  # version, layer, rate and mode
    # A first byte that was cleared looks as one of the zeros in front.
    for at in range(max(tagged, front - 3), min(front, start - 4) + 1):
        head = data[at : at + 4]
        apart = [((a ^ b) & mask).bit_count() for a, b, mask in zip(head, right, masks, strict=True)]
        thirds = {third & ~_PADDED | padded for third in (head[2], right[2]) for padded in (0, _PADDED)}
        is_whole = start - at in (sizes.get(right[1] << 8 | third) for third in thirds)
        if (at == front and sum(apart) <= 2) or (is_whole and (apart.count(0) == 3 or is_constant)):
            raise Reject(
                "bad_audio", f"a damaged {name}: the frame at byte {at} does not end where the next begins"
            )
    if front - tagged >= _MIN_ZEROS or (not tagged and start - front > longest):
        told = f"{front - tagged} zeros and {start - front} bytes in front of its first frame are no frames"
        raise Reject("bad_audio", f"a damaged {name}: {told}, nor the rest of one alone")


def _read_stream(data: bytes, start: int, end: int, first: Kind, name: str, piece: int) -> _Stream:
    kind = kind_at(data, start)
    if kind is None or (kind.version, kind.layer, kind.rate, kind.channels) != (
        first.version,
        first.layer,
        first.rate,
        first.channels,
    ):
        layer = f"{LAYER_NAMES[kind.layer]} of {kind}" if kind else "something else"
        raise Reject("bad_audio", f"the {name} changes at byte {start} from {first} to {layer}")
    sizes = sizes_at(data, start, kind)
    info_start, count = start, 0
    is_whole, behind = follow(data, start, end, sizes, kind.channels, limit=1)
    info = read_info(data[start:behind], kind) if is_whole else None
    if info is not None:
        start = behind
    # In pieces that double, so that many joined files are not each followed to the end of all.
    behind, limit = start, piece
    while True:
        starts: list[int] = []
        _, behind = follow(data, behind, end, sizes, kind.channels, limit, starts)
        if info is None or not info.frames:
            check_lengths(data, starts, sizes, kind)
        joined = next((i for i in info_frames_of(data, starts, kind) if count + i or info is None), None)
        if joined is not None and starts[joined] > info_start:
            return _Stream(kind, info, info_start, start, starts[joined], count + joined)
        count += len(starts)
        if len(starts) < limit:
            return _Stream(kind, info, info_start, start, behind, count)
        limit *= 2


def _behind_tags(data: bytes, at: int, end: int) -> int:
    """Gives the byte behind tags, of which one may be the ID3v1 of a file that another was joined to."""
    start = tags.end_of_tags_in_front(data, at)
    if data.startswith(b"TAG", at) and at + 128 < end:
        start = tags.end_of_tags_in_front(data, at + 128)
    return start


def _start_of_next(data: bytes, at: int, end: int) -> int | None:
    """Where another stream begins behind tags, or at once with frames of another kind; None at the end."""
    behind_tags = _behind_tags(data, at, end)
    zeros = tags.size_of_zeros(data, behind_tags, end)
    if behind_tags > at or zeros:
        behind_tags += zeros
    kind = kind_at(data, behind_tags) if behind_tags < end else None
    if kind is None:
        return None
    if zeros and behind_tags - zeros == at and _starts_with_info(data, behind_tags, kind) is False:
        return None  # zeros inside a stream are lost frames
    sizes = sizes_at(data, behind_tags, kind)
    count, behind = follow(data, behind_tags, end, sizes, kind.channels, limit=2)
    return behind_tags if count == 2 or (count and behind == end) else None


def _starts_with_info(data: bytes, at: int, kind: Kind) -> bool:
    return read_info(data[at : at + 200], kind) is not None


def _check_tail(
    data: bytes, stream: _Stream, end: int, promised: int | None, tolerance: Tolerance, name: str
) -> bool:
    """What lies behind the last frame is no audio; returns whether a cut frame was tolerated."""
    _check_is_alone(data, stream.end, end, name)
    if promised is not None and promised <= stream.frames:
        return False
    at = stream.end
    zeros = tags.size_of_zeros(data, at, end)
    sizes = sizes_at(data, stream.start, stream.kind)
    # Where the last frame's own end is of zeros too, they may be what became of others.
    if at + zeros == end and (zeros < min(sizes.values(), default=0) or (zeros <= _MAX_ZEROS and data[at - 1])):
        return False
    if at + zeros == end:
        told = f"{zeros} zeros lie behind its last frame, and it does not say how many it has"
        raise Reject("bad_audio", f"a damaged {name}: {told}")
    size = sizes.get(data[at + 1] << 8 | data[at + 2], 0) if kind_at(data, at) == stream.kind else 0
    if at + size > end:
        if tolerance.allows(stream.kind.samples_a_frame, stream.kind.rate):
            return True
        raise cut(name, f"the frame at byte {at}", size, end - at)
    if end - at < 4 and data.find(b"\xff", at, at + 1) == at:
        if tolerance.allows(stream.kind.samples_a_frame, stream.kind.rate):
            return True
        raise Reject("bad_audio", f"a cut {name}: of the frame at byte {at}, {end - at} bytes are there")
    raise Reject("bad_audio", f"a damaged {name}: behind {stream.frames} frames, at byte {at}, no frame begins")


def _check_is_alone(data: bytes, at: int, end: int, name: str) -> None:
    """Refuses a file of another format behind the last frame, also where the header counts no more frames.

    Raises:
        Reject: bad_audio.
    """
    # This import stands here because that module knows all formats, and so imports this one.
    from melbeam.transforms.records.containers.formats import name_of_audio

    at = _behind_tags(data, at, end)
    for start in (at, at + tags.size_of_zeros(data, at, end)):  # an M4A begins with zeros
        other = name_of_audio(data[start : start + 64])
        if other is not None:
            told = f"behind its last frame, at byte {start}, begins a file of {other}"
            raise Reject("bad_audio", f"the {name} holds two: {told}; split them")


def _check_promise(data: bytes, stream: _Stream, tolerance: Tolerance, name: str) -> bool:
    """The count in the first frame is no larger than what is there; returns whether a cut was tolerated."""
    info = stream.info
    assert info is not None
    there = stream.end - stream.info_start
    # Programs that cut or join leave the header as it was, checksum and all.
    if info.fails_checksum and info.frames not in (None, stream.frames) and not _bytes_hold(stream):
        told = f"its {info.name} header promises {info.frames} frames, and its checksum does not hold"
        raise Reject("bad_audio", f"a damaged {name}: {told}; {stream.frames} are there")
    if info.frames:
        missing = info.frames - stream.frames
        # Some encoders count the frame that holds the count.
        if missing == 1 and _bytes_hold(stream):
            check_lengths(data, [stream.info_start], sizes_at(data, stream.info_start, stream.kind), stream.kind)
            return False
        if missing <= 0:
            return False
        # All bytes are there: a flipped bit made a frame as long as several, behind which the chain goes on.
        if _bytes_hold(stream):
            raise Reject(
                "bad_audio",
                f"a damaged {name}: its {info.name} header promises {info.frames} frames in {info.bytes} bytes, "
                f"{stream.frames} are there",
            )
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
        header = info_frame(data[stream.start : stream.start + 4], kind, stream.frames)
        return Part(header + data[stream.start : stream.end], max(0, total - DECODER_DELAY))
    delay, padding = info.delay, info.padding
    has_delay = delay is not None and padding is not None
    there = stream.end - stream.info_start
    if info.frames == stream.frames and info.bytes in (None, there):
        frames = _cut_out(data, stream.info_start, stream.end)
    else:
        changed = bytearray(data[stream.info_start : stream.end])
        if info.frames is None or (has_delay and info.frames < stream.frames and not _bytes_hold(stream)):
            # No place for a count, or padding that is no longer at the end.
            header = info_frame(data[stream.start : stream.start + 4], kind, stream.frames)
            return Part(header + data[stream.start : stream.end], max(0, total - DECODER_DELAY))
        struct.pack_into(">I", changed, info.at + 8, stream.frames)
        if info.bytes is not None:
            struct.pack_into(">I", changed, info.at + 12, there)
        frames = bytes(changed)
    if not has_delay:
        return Part(frames, max(0, total - DECODER_DELAY))
    assert delay is not None
    assert padding is not None
    begin = delay + DECODER_DELAY
    # mpg123's rule: both ends are moved by the decoder's delay, and nothing lies behind the last frame.
    stop = min(total, total - max(0, padding - DECODER_DELAY))
    return Part(frames, max(0, stop - begin))


def _cut_out(data: bytes, start: int, end: int) -> bytes:
    return data if (start, end) == (0, len(data)) else data[start:end]
