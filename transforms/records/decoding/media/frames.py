"""Streams of frames without a container: AAC (ADTS) and AC-3, counted frame by frame to the last byte."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from melbeam.transforms.records.containers import tags
from melbeam.transforms.records.decoding.media.stated import Media, cut, damaged
from melbeam.transforms.records.rejects import Reject

# ISO/IEC 14496-3, table 1.18.
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)  # Hz
# ATSC A/52: kbit/s by half the frame's size code, and samples a second by the rate code.
_AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AC3_RATES = (48000, 44100, 32000)
_EAC3_BLOCKS = (1, 2, 3, 6)
_NAMES = {"aac": "AAC", "ac3": "AC-3", "eac3": "E-AC-3"}  # of FFmpeg's demuxers


def read(data: bytes) -> Media | None:
    """What such a stream holds; None for another format."""
    start, end = tags.end_of_tags_in_front(data), tags.start_of_tags_behind(data)
    for name, frame in (("AAC (ADTS)", _adts_frame), ("AC-3", _ac3_frame)):
        if frame(data, start) is not None:
            return _frame_by_frame(data, name, frame, start, end)
    return None


def name_of_two(data: bytes) -> str | None:
    """The name of the format of which two frames follow each other from the first byte on, or None."""
    for name, frame in (("AAC", _adts_frame), ("AC-3", _ac3_frame)):
        first = frame(data, 0)
        second = frame(data, first[0]) if first is not None else None
        if first is not None and second is not None and first[2:] == second[2:]:
            return name
    return None


# The frame at a place: its size in bytes, its samples, its rate in Hz, and FFmpeg's demuxer.
_Frame = tuple[int, int, int, str]


def _frame_by_frame(
    data: bytes, name: str, frame: Callable[[bytes, int], _Frame | None], start: int, end: int
) -> Media:
    at, num_samples, rate, demuxer = start, 0, 0, ""
    while at < end:
        found = frame(data, at)
        if found is None:
            if tags.end_of_tags_in_front(data, at) > at:
                raise damaged(name, f"tags at byte {at}, between frames: two files, one behind the other")
            raise damaged(name, f"no frame begins at byte {at}")
        size, samples, found_rate, found_demuxer = found
        if rate and (rate, demuxer) != (found_rate, found_demuxer):
            told = f"{_kind(rate, demuxer)} becomes {_kind(found_rate, found_demuxer)} at byte {at}"
            raise Reject("bad_audio", f"{name}: {told}")
        rate, demuxer = found_rate, found_demuxer
        at += size
        num_samples += samples
        if at > end:
            raise cut(name, at, end)
    return Media(name, demuxer, Fraction(num_samples, rate), allows_a_frame=False, start=start, end=end)


def _kind(rate: int, demuxer: str) -> str:
    return f"{_NAMES[demuxer]} of {rate} Hz"


def _adts_frame(data: bytes, at: int) -> _Frame | None:
    """ISO/IEC 13818-7, 6.2: a header of 7 bytes, or 9 with a checksum."""
    head = data[at : at + 7]
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    rate, size = head[2] >> 2 & 15, (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    if rate >= len(AAC_RATES) or size < 7:
        return None
    return size, 1024 * ((head[6] & 3) + 1), AAC_RATES[rate], "aac"


def _ac3_frame(data: bytes, at: int) -> _Frame | None:
    """ATSC A/52: AC-3 (5.3) and, by its larger bitstream identification, E-AC-3 (E.1.3)."""
    head = data[at : at + 6]
    if len(head) < 6 or head[:2] != b"\x0b\x77":
        return None
    rate, version = head[4] >> 6, head[5] >> 3
    if version <= 10:
        code = head[4] & 63
        if rate == 3 or code >= 2 * len(_AC3_KBPS) or version > 8:
            return None
        # 1536 samples of kbit/s, in words of 16 bits; at 44.1 kHz some frames have one more.
        words = 96 * _AC3_KBPS[code // 2] * 1000 // _AC3_RATES[rate] + (code & 1 if rate == 1 else 0)
        return 2 * words, 1536, _AC3_RATES[rate], "ac3"
    if version > 16:
        return None
    size = 2 * (((head[2] & 7) << 8 | head[3]) + 1)
    if rate == 3:
        half = head[4] >> 4 & 3
        if half == 3:
            return None
        hertz, blocks = _AC3_RATES[half] // 2, 6
    else:
        hertz, blocks = _AC3_RATES[rate], _EAC3_BLOCKS[head[4] >> 4 & 3]
    is_first = head[2] >> 6 != 1 and not head[2] >> 3 & 7  # what depends on another frame adds channels, no time
    return size, 256 * blocks if is_first else 0, hertz, "eac3"
