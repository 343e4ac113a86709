"""Opus in WebM and Matroska, counted without a decoder: each packet says how long it is (RFC 6716, 3.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from melbeam.transforms.records.containers.ogg import OPUS_RATE, opus_duration
from melbeam.transforms.records.containers.rates import is_damaged_byte
from melbeam.transforms.records.decoding.media.stated import damaged

NAME = "WebM (Matroska)"
MAX_NUMBER = 8  # bytes of an integer
_NS = 10**9
_MAX_DISCARDED = Fraction(120, 1000)  # s; no packet is longer
_MAX_DISCARDED_BITS = 27  # of that in nanoseconds
_ROUNDING = Fraction(1, 1000)  # s; of a stated duration
_SLACK = 3_000_000  # ns; times are rounded to milliseconds


class Block(NamedTuple):  # a frozen dataclass takes three times as long to make
    """A block of a track: when it begins, in ns, whether it has packets laced, the first two bytes, its place."""

    time: int
    is_laced: bool
    packet: bytes
    at: int


def pre_skip(private: bytes, delay: int) -> int | None:
    """Samples that are left out in front, where the codec's header (OpusHead) and the track (ns) agree on them.

    Raises:
        Reject: bad_audio; they are a damaged byte from agreeing.
    """
    if not private.startswith(b"OpusHead") or len(private) < 19:
        raise damaged(NAME, f"the header of its Opus begins with {private[:8]!r}")
    in_header = int.from_bytes(private[10:12], "little")
    if abs(Fraction(delay, _NS) * OPUS_RATE - in_header) <= 1:
        return in_header
    in_track = round(Fraction(delay, _NS) * OPUS_RATE)
    right = in_header * _NS // OPUS_RATE
    if is_damaged_byte(private[10:12], (in_track & 0xFFFF).to_bytes(2, "little")) or is_damaged_byte(
        delay.to_bytes(MAX_NUMBER, "big"), right.to_bytes(MAX_NUMBER, "big")
    ):
        raise damaged(NAME, f"its Opus leaves out {in_header} samples in front, its track {in_track}")
    return None


def seconds(
    blocks: list[Block], discarded: Iterable[int], skipped: int, duration: Fraction | None
) -> Fraction | None:
    """How long the packets of a track are, without what is left out at both ends; None where blocks are laced.

    Args:
        blocks: of the track, in order.
        discarded: ns that blocks say are to be left out at their ends.
        skipped: samples that are left out in front.
        duration: s, as the segment states it, where its writer is known to leave that stretch out, or None.

    Raises:
        Reject: bad_audio; a packet is not as long as the times around it say.
    """
    laced = [block for block in blocks if block.is_laced]
    if laced and 2 * len(laced) < len(blocks):
        raise damaged(NAME, f"the block at byte {laced[0].at} alone has packets laced in it")
    if laced or not blocks:
        return None
    lengths = [opus_duration(block.packet) for block in blocks]
    usual = Counter(lengths).most_common(1)[0][0]
    for index, length in enumerate(lengths[:-1]):
        # Live recordings have jitter in their times, but one length of packets.
        if length != usual:
            gap = blocks[index + 1].time - blocks[index].time
            if abs(gap - length * _NS // OPUS_RATE) > _SLACK:
                told = f"the packet at byte {blocks[index].at} has {length / OPUS_RATE:.4f} s"
                raise damaged(NAME, f"{told}, the next begins {gap / _NS:.4f} s later")
    left_out = Fraction(sum(discarded), _NS)
    if not 0 <= left_out <= _MAX_DISCARDED:
        raise damaged(NAME, f"{float(left_out):.4f} s are to be left out at its end")
    total, front = Fraction(sum(lengths), OPUS_RATE), Fraction(skipped, OPUS_RATE)
    if duration is not None:
        end = Fraction(blocks[-1].time, _NS) + Fraction(lengths[-1], OPUS_RATE)
        wholes = (end, total, total - front)
        _check_last(duration + left_out, wholes, lengths[-1], usual, blocks[-1].at)
        if left_out:
            _check_end(duration, wholes, left_out)
    return total - front - left_out


def _check_last(duration: Fraction, wholes: tuple[Fraction, ...], length: int, usual: int, at: int) -> None:
    """Refuses a last packet of another length than the others, if the duration were right with their length."""

    def is_right(more: int) -> bool:
        return any(abs(duration - whole - Fraction(more, OPUS_RATE)) <= _ROUNDING for whole in wholes)

    if length != usual and not is_right(0) and is_right(usual - length):
        told = (
            f"the last packet, at byte {at}, has {length / OPUS_RATE:.4f} s, all others {usual / OPUS_RATE:.4f} s"
        )
        raise damaged(NAME, f"{told}, with which its duration would be right")


def _check_end(duration: Fraction, wholes: tuple[Fraction, ...], left_out: Fraction) -> None:
    """Refuses a stretch to leave out that would fit the stated duration if one of its bits were flipped."""

    def goes_with_duration(behind: Fraction) -> bool:
        return any(abs(duration - whole + behind) <= _ROUNDING for whole in wholes)

    value = int(left_out * _NS)
    if not goes_with_duration(left_out) and any(
        goes_with_duration(Fraction(value ^ 1 << bit, _NS)) for bit in range(_MAX_DISCARDED_BITS)
    ):
        told = f"{float(left_out):.4f} s are to be left out at the end of {float(wholes[1]):.4f} s"
        raise damaged(NAME, f"{told}, and its duration is {float(duration):.4f} s")
