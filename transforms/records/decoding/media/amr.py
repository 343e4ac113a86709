"""AMR and AMR-WB: frames of 20 ms behind a magic, each with a byte in front that names its mode.

Nothing but that byte says how long a frame is (RFC 4867, section 5.3), and a recorder may change the mode with any
frame, leave out pauses, and lose frames. So a mode is no reason to doubt a frame. A damaged byte shows by the
chain of frames that it breaks: by what is no frame, by the bits that fill a frame's last byte, by a second chain
that goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from melbeam.transforms.records.decoding.media.stated import Media, cut, damaged

_FRAME = Fraction(20, 1000)  # s
_PAUSE = 40  # bits at most of a frame that describes the noise of a pause
_MAX_UNCLEAN = 0.2  # of the frames whose filling is not of zeros; an encoder that does not care has more
_GOOD = 0b100  # the bit of a frame's first byte that is 0 where a radio link damaged it
_NO_FRAME = 0b10000011  # bits that are 0 in a frame's first byte
# So many bits are in their places by chance once in some hundred recordings of four hours. Fewer are enough for a
# frame whose mode is that of speech neither before nor behind it, of which few stand in front of pauses: by them a
# recording whose mode changes at random with every frame is refused by chance about once in an hour of it, though
# nothing is wrong with it. One that keeps each mode for two frames or more has no such frame.
_MIN_BITS = 28
_MIN_BITS_OF_LONE = 12


@dataclass(frozen=True)
class _Coding:
    """A kind of AMR.

    Attributes:
        name: for people.
        bits: of a frame of each mode behind its first byte, filled up to bytes; 0 of frames that hold nothing.
    """

    name: str
    bits: dict[int, int]

    def size(self, mode: int) -> int:
        """Bytes of a frame, its first one counted."""
        return 1 + (self.bits[mode] + 7) // 8

    def filling(self, mode: int) -> int:
        """Bits that fill the last byte of a frame."""
        return -self.bits[mode] % 8


# 3GPP TS 26.101 and 26.201.
_CODINGS = {
    b"#!AMR\n": _Coding("AMR", {**dict(enumerate((95, 103, 118, 134, 148, 159, 204, 244, 39))), 15: 0}),
    b"#!AMR-WB\n": _Coding(
        "AMR-WB", {**dict(enumerate((132, 177, 253, 285, 317, 365, 397, 461, 477, 40))), 14: 0, 15: 0}
    ),
}


def read(data: bytes) -> Media | None:
    """Reads what an AMR holds; returns None for another format."""
    for magic, coding in _CODINGS.items():
        if data.startswith(magic):
            frames = _frames(data, len(magic), coding)
            _check_readings(data, coding, frames)
            has_pauses = any(coding.bits[mode] <= _PAUSE for mode in set(frames.values()))
            remark = (
                "its coder left out pauses, which PyAV up to 18 fills in, and 19 does not" if has_pauses else ""
            )
            return Media(coding.name, "amr", len(frames) * _FRAME, allows_a_frame=False, remark=remark)
    return None


def _frames(data: bytes, at: int, coding: _Coding) -> dict[int, int]:
    """The mode of each frame by the byte where it begins.

    Raises:
        Reject: bad_audio.
    """
    frames: dict[int, int] = {}
    unclean: list[int] = []  # bytes where frames begin whose filling is not of zeros
    sizes = {mode: (coding.size(mode), (1 << coding.filling(mode)) - 1) for mode in coding.bits}
    while at < len(data):
        head = data[at]
        mode = head >> 3 & 15
        if head & _NO_FRAME or mode not in sizes:
            if any(data.startswith(magic, at) for magic in _CODINGS):
                raise damaged(coding.name, f"a second header at byte {at}: two files, one behind the other")
            raise damaged(coding.name, f"no frame begins at byte {at}")
        size, filling = sizes[mode]
        if size > 1 and not head & _GOOD:
            raise damaged(coding.name, f"the frame at byte {at} says of itself that it is damaged")
        frames[at] = mode
        at += size
        if filling and at <= len(data) and data[at - 1] & filling:
            unclean.append(at - size)
    if at > len(data):
        raise cut(coding.name, at, len(data))
    # Behind a byte that is gone or doubled, what stands for a header says anything, until it is one again, and
    # what stands for a frame's end is none.
    if unclean and len(unclean) <= _MAX_UNCLEAN * len(frames):
        told = f"the frame at byte {unclean[0]} does not end with the zeros that fill its last byte"
        raise damaged(coding.name, told)
    return frames


def _check_readings(data: bytes, coding: _Coding, frames: dict[int, int]) -> None:
    """Refuses a frame of speech if, with one bit of its mode flipped, another chain of frames would begin in it.

    What a coder leaves out of a pause, it writes as frames of a single byte, so that many of them look like the
    inside of a longer frame: a frame of noise and the seven of nothing behind it are as long as one of mode 0.

    Raises:
        Reject: bad_audio.
    """
    others = {
        mode: [(mode ^ bit, coding.size(mode ^ bit)) for bit in (1, 2, 4, 8) if mode ^ bit in coding.bits]
        for mode, bits in coding.bits.items()
        if bits > _PAUSE
    }
    heads = {mode << 3 | _GOOD for mode in coding.bits} | {
        mode << 3 for mode, bits in coding.bits.items() if not bits
    }
    padded = data + b"\xff" * max(map(coding.size, coding.bits))
    speech = [(at, mode) for at, mode in frames.items() if mode in others]
    modes = [-1, *(mode for _, mode in speech), -1]
    for (at, mode), before, behind in zip(speech, modes, modes[2:], strict=False):
        for other, size in others[mode]:
            if padded[at + size] in heads:
                num_frames, num_bits = _other_chain(data, coding, frames, at, other)
                is_lone = mode not in (before, behind) and other in (before, behind)
                if num_bits >= (_MIN_BITS_OF_LONE if is_lone else _MIN_BITS):
                    told = f"the frame at byte {at} is of mode {mode}, a bit from {other}"
                    raise damaged(coding.name, f"{told}, with which {num_frames} frames are there in its place")


def _other_chain(data: bytes, coding: _Coding, frames: dict[int, int], at: int, mode: int) -> tuple[int, int]:
    """The frames from a byte on, were the first of another mode, up to where one ends with one of `frames`.

    It returns their number, and how many bits are as they must be there; 0 and 0 where the chain comes to no such
    end.
    """
    num_frames, num_bits = 1, 0
    while True:
        filling = coding.filling(mode)
        at += coding.size(mode)
        if at > len(data) or data[at - 1] & (1 << filling) - 1:
            return 0, 0
        num_bits += filling
        if at in frames or at == len(data):
            return num_frames, num_bits
        head = data[at]
        mode = head >> 3 & 15
        if head & _NO_FRAME or mode not in coding.bits or (coding.bits[mode] and not head & _GOOD):
            return 0, 0
        num_frames += 1
        # Speech may be of any mode, so that its first byte says too little; an empty frame may be good or not.
        if coding.bits[mode] <= _PAUSE:
            num_bits += 8 if coding.bits[mode] else 7
