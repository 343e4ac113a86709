"""FLAC: its frames by their headers, which have a checksum and the frame's number (RFC 9639).

libsndfile stops at the total that STREAMINFO names, puts zeros where a frame was taken out and does not mind an
order of frames that is not theirs. The headers show all of that without a decode; what is inside a frame has a
checksum that libsndfile does check.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from melbeam.transforms.records.containers import tags
from melbeam.transforms.records.containers.checksums import crc8, flac_crc16
from melbeam.transforms.records.containers.contents import Contents, Part, Tolerance, cut
from melbeam.transforms.records.rejects import Reject

_STREAMINFO_SIZE = 34
_DECODED_BITS = (8, 16, 24)  # of a sample, that libsndfile reads
_BLOCK_SIZES = (0, 192, 576, 1152, 2304, 4608, 0, 0, *(256 << i for i in range(8)))  # samples, by code
_RATES = (0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000)  # Hz, by code
_BITS = (0, 8, 12, -1, 16, 20, 24, 32)  # by code


@dataclass(frozen=True)
class StreamInfo:
    """What the first metadata block of a FLAC says, and where its frames begin.

    Attributes:
        sampling_rate: Hz.
        num_channels: of a frame.
        bits: of a sample.
        total: samples a channel, or 0 where that is not known.
        md5: of the samples, or zeros where that is not known.
        total_at: the byte of the 8 that end in `total`'s 36 bits.
        frames_at: the byte of the first frame.
    """

    sampling_rate: int
    num_channels: int
    bits: int
    total: int
    md5: bytes
    total_at: int
    frames_at: int


class _Frame(NamedTuple):  # a frozen dataclass takes three times as long to make
    """A frame's header."""

    start: int
    number: int  # of the frame, or of its first sample where blocks are of several sizes
    block_size: int
    is_variable: bool
    fits: bool  # whether its rate, channels and bits are those of STREAMINFO


def start_of_stream(data: bytes) -> int:
    """The byte of "fLaC", behind tags and zeros, or -1."""
    start = tags.start_of_content(data)
    return start if data.startswith(b"fLaC", start) else -1


def read_stream_info(data: bytes) -> StreamInfo:
    """Reads the metadata of a FLAC that begins at the first byte.

    Raises:
        Reject: bad_audio.
    """
    position, is_last = 4, False
    while not is_last:
        head = data[position : position + 4]
        if len(head) < 4:
            raise Reject("bad_audio", f"a cut FLAC: its metadata ends beyond the {len(data)} bytes")
        is_last = bool(head[0] & 0x80)
        size = int.from_bytes(head[1:], "big")
        if position == 4 and (head[0] & 0x7F or size < _STREAMINFO_SIZE):
            raise Reject("bad_audio", "a damaged FLAC: its first block is no STREAMINFO")
        position += 4 + size
    sampling_rate, num_channels, bits, total = unpack_format(data[18:26])
    return StreamInfo(
        sampling_rate=sampling_rate,
        num_channels=num_channels,
        bits=bits,
        total=total,
        md5=data[26:42],
        total_at=18,
        frames_at=position,
    )


def unpack_format(packed: bytes) -> tuple[int, int, int, int]:
    """Hz, channels, bits a sample and samples a channel, of 8 bytes of STREAMINFO (RFC 9639, section 8.2)."""
    number = int.from_bytes(packed, "big")
    return number >> 44, (number >> 41 & 7) + 1, (number >> 36 & 31) + 1, number & (1 << 36) - 1


def inspect(data: bytes, tolerance: Tolerance, *, name: str = "FLAC") -> Contents:
    """Counts the samples in the frames of a FLAC.

    Raises:
        Reject: bad_audio.
    """
    end = tags.start_of_tags_behind(data)
    start = start_of_stream(data)
    if start < 0:
        raise Reject("bad_audio", f"a damaged {name}: it does not begin with fLaC")
    if (start, end) != (0, len(data)):
        data = data[start:end]
    info = read_stream_info(data)
    num_samples = _count_samples(data, info, name)
    if num_samples < info.total and not tolerance.allows(info.total - num_samples, info.sampling_rate):
        raise cut(name, "its STREAMINFO", info.total, num_samples, "samples a channel")
    remark = ""
    if num_samples != info.total:
        if info.total:
            remark = f"its STREAMINFO promises {info.total} samples a channel, {num_samples} are there"
        # libsndfile stops at the total, and fills up to it.
        packed = int.from_bytes(data[18:26], "big") >> 36 << 36 | num_samples
        data = data[:18] + packed.to_bytes(8, "big") + data[26:]
    return Contents(
        format=name,
        sampling_rate=info.sampling_rate,
        num_channels=info.num_channels,
        num_samples=num_samples,
        parts=(Part(data, num_samples),) if info.bits in _DECODED_BITS else None,
        cut_tolerated=num_samples < info.total,
        remark=remark,
    )


def _count_samples(data: bytes, info: StreamInfo, name: str) -> int:
    """The samples a channel of all frames, each of which must be the one that follows."""
    total = count = first_size = 0
    last: _Frame | None = None
    doubtful: list[_Frame] = []  # since the last frame; what looks like a header may be a chance
    for frame in _headers(data, info):
        if last is None:
            follows = frame.start == info.frames_at and frame.number == 0
        else:
            follows = (
                frame.number == (total if last.is_variable else count) and frame.is_variable == last.is_variable
            )
        if not follows or not frame.fits:
            if last is None:
                break
            doubtful.append(frame)
            continue
        if last is not None:
            if doubtful:
                _check_doubtful(data, last, doubtful, frame.start, name)
                doubtful.clear()
            if not last.is_variable and last.block_size != first_size:
                told = f"{first_size} samples as those before, it has {last.block_size}"
                raise Reject("bad_audio", f"a damaged {name}: the frame at byte {last.start} should have {told}")
        else:
            first_size = frame.block_size
        total += frame.block_size
        count += 1
        last = frame
    if last is None:
        if len(data) <= info.frames_at:
            return 0
        raise Reject(
            "bad_audio", f"a damaged {name}: no first frame begins at byte {info.frames_at}, its metadata's end"
        )
    if doubtful:
        _check_doubtful(data, last, doubtful, len(data), name)
    if total != info.total and flac_crc16(data[last.start :]):
        raise Reject(
            "bad_audio", f"a cut {name}: the checksum of its last frame, at byte {last.start}, does not hold"
        )
    return total


def _check_doubtful(data: bytes, last: _Frame, doubtful: list[_Frame], end: int, name: str) -> None:
    """What looks like a frame out of order is one, if the frame before ends there: then its checksum is 0."""
    register, position = 0, last.start
    for frame in doubtful:
        register = flac_crc16(data[position : frame.start], register)
        position = frame.start
        if not register:
            raise Reject(
                "bad_audio",
                f"a damaged {name}: the frame at byte {position} has the number {frame.number}, the one before"
                f" {last.number}",
            )
    if flac_crc16(data[position:end], register):
        joined = data.find(b"fLaC", last.start, end)
        if joined >= 0 and flac_crc16(data[last.start : joined], 0) == 0:
            raise Reject(
                "bad_audio", f"a {name} whose audio ends at byte {joined}, and another begins there: split them"
            )
        raise Reject(
            "bad_audio", f"a damaged {name}: the frame behind that at byte {last.start} is not the next one"
        )


def _headers(data: bytes, info: StreamInfo) -> Iterator[_Frame]:
    """All that looks like a frame's header, its checksum included."""
    position = info.frames_at
    sync = data[position : position + 2]
    if len(sync) < 2 or sync[0] != 0xFF or sync[1] & 0xFE != 0xF8:
        return
    for start in _places_of(int.from_bytes(sync, "little"), data, position):
        frame = _read_header(data, start, info)
        if frame is not None:
            yield frame


def _places_of(pair: int, data: bytes, start: int) -> list[int]:
    """Where, from byte `start` on, two given bytes stand (as a little-endian pair), faster than by bytes.find."""
    places = []
    for offset in (start, start + 1):
        num_pairs = max(0, (len(data) - offset) // 2)
        pairs = np.frombuffer(data, "<u2", num_pairs, offset=min(offset, len(data)))
        places.append(np.flatnonzero(pairs == pair) * 2 + offset)
    return np.sort(np.concatenate(places)).tolist()


def _read_header(data: bytes, start: int, info: StreamInfo) -> _Frame | None:
    head = data[start : start + 16]  # the longest is 16 bytes
    if len(head) < 6 or head[3] & 1:
        return None
    block_code, rate_code = head[2] >> 4, head[2] & 15
    channel_code, bits_code = head[3] >> 4, head[3] >> 1 & 7
    if not block_code or rate_code == 15 or channel_code > 10 or bits_code == 3:
        return None
    first = head[4]
    # A number as in UTF-8, of up to 36 bits.
    if first < 0x80:
        number, position = first, 5
    else:
        num_bytes = 8 - (first ^ 0xFF).bit_length()
        if not 2 <= num_bytes <= 7:
            return None
        number, position = first & (0x7F >> num_bytes), 4 + num_bytes
        for byte in head[5:position]:
            if byte >> 6 != 2:
                return None
            number = number << 6 | byte & 0x3F
    if block_code in (6, 7):
        size = block_code - 5
        block_size = int.from_bytes(head[position : position + size], "big") + 1
        position += size
    else:
        block_size = _BLOCK_SIZES[block_code]
    rate = info.sampling_rate
    if rate_code >= 12:
        size = 1 if rate_code == 12 else 2
        rate = int.from_bytes(head[position : position + size], "big") * (1000, 1, 10)[rate_code - 12]
        position += size
    elif rate_code:
        rate = _RATES[rate_code]
    if len(head) <= position or crc8(head[: position + 1]):
        return None
    channels = channel_code + 1 if channel_code < 8 else 2
    fits = (
        rate == info.sampling_rate
        and channels == info.num_channels
        and (not bits_code or _BITS[bits_code] == info.bits)
    )
    return _Frame(start, number, block_size, bool(head[1] & 1), fits)
