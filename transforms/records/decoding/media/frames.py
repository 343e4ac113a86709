"""Streams of frames without a container: AAC (ADTS), AMR, AC-3, counted frame by frame to the last byte."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from melbeam.transforms.records.decoding.media.stated import Media, cut, damaged
from melbeam.transforms.records.rejects import Reject

# ISO/IEC 14496-3, table 1.18.
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)  # Hz
_AMR_FRAME = Fraction(20, 1000)  # s
# Bits of a frame of each kind behind its first byte, filled up to bytes: 3GPP TS 26.101 and 26.201, RFC 4867
# section 5.3.
_AMR = {
    b"#!AMR\n": ("AMR", {**dict(enumerate((95, 103, 118, 134, 148, 159, 204, 244, 39))), 15: 0}),
    b"#!AMR-WB\n": (
        "AMR-WB",
        {**dict(enumerate((132, 177, 253, 285, 317, 365, 397, 461, 477, 40))), 14: 0, 15: 0},
    ),
}
_AMR_PAUSE = 40  # bits at most of a frame that describes the noise of a pause
_MAX_UNCLEAN = 0.2  # of the frames whose filling is not of zeros; an encoder that does not care has more
_GOOD = 0b100  # the bit of a frame's first byte that is 0 where a radio link damaged it
# ATSC A/52: kbit/s by half the frame's size code, and samples a second by the rate code.
_AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AC3_RATES = (48000, 44100, 32000)
_EAC3_BLOCKS = (1, 2, 3, 6)


def read(data: bytes) -> Media | None:
    """What such a stream holds; None for another format."""
    for magic, (name, sizes) in _AMR.items():
        if data.startswith(magic):
            return _amr(data, name, len(magic), sizes)
    start = _behind_id3(data)
    end = len(data) - 128 if data[-128:-125] == b"TAG" else len(data)
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


def _behind_id3(data: bytes) -> int:
    """The place behind an ID3v2 tag: ten bytes, and a size of four bytes of 7 bits."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))


def _amr(data: bytes, name: str, start: int, bits: dict[int, int]) -> Media:
    num_frames = 0
    speech: list[tuple[int, int]] = []  # of the frames that hold some: the rate's number, the byte
    unclean: list[int] = []  # bytes where frames begin whose filling is not of zeros
    while start < len(data):
        kind = data[start] >> 3 & 15
        if data[start] & 0b10000011 or kind not in bits:
            raise damaged(name, f"no frame begins at byte {start}")
        if bits[kind] and not data[start] & _GOOD:
            raise damaged(name, f"the frame at byte {start} says of itself that it is damaged")
        behind = start + 1 + (bits[kind] + 7) // 8
        if bits[kind] and behind <= len(data) and data[behind - 1] & (1 << -bits[kind] % 8) - 1:
            unclean.append(start)
        if bits[kind] > _AMR_PAUSE:
            speech.append((kind, start))
        start = behind
        num_frames += 1
    if start > len(data):
        raise cut(name, start, len(data))
    # Behind a byte that is gone or doubled, what stands for a header says anything, until it is one again, and
    # what stands for a frame's end is none.
    if unclean and len(unclean) <= _MAX_UNCLEAN * num_frames:
        raise damaged(name, f"the frame at byte {unclean[0]} does not end with the zeros that fill its last byte")
    for (before, _), (kind, at), (after, _) in zip(speech, speech[1:], speech[2:], strict=False):
        if kind not in (before, after):
            told = f"the frame at byte {at} alone is of mode {kind}, between those of {before} and {after}"
            raise damaged(name, f"{told}; a coder keeps a mode for two frames at least")
    return Media(name, "amr", num_frames * _AMR_FRAME)


# The frame at a place: its size in bytes, its samples, its rate in Hz, and FFmpeg's demuxer.
_Frame = tuple[int, int, int, str]


def _frame_by_frame(
    data: bytes, name: str, frame: Callable[[bytes, int], _Frame | None], start: int, end: int
) -> Media:
    num_samples, rate, demuxer = 0, 0, ""
    while start < end:
        found = frame(data, start)
        if found is None:
            raise damaged(name, f"no frame begins at byte {start}")
        size, samples, found_rate, found_demuxer = found
        if rate and (rate, demuxer) != (found_rate, found_demuxer):
            raise Reject("bad_audio", f"{name}: {rate} Hz become {found_rate} Hz at byte {start}")
        rate, demuxer = found_rate, found_demuxer
        start += size
        num_samples += samples
        if start > end:
            raise cut(name, start, end)
    return Media(name, demuxer, Fraction(num_samples, rate))


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
