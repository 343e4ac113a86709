"""Sampling rates that a header names once, so that nothing else in the file shows a flipped bit of theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from melbeam.transforms.records.rejects import Reject

USUAL_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000)  # Hz
# Floats have a power of two of its own, so that 64 kHz is a bit from 16 kHz, and both are rates of recordings.
_POWERS_OF_TWO = range(-4, 5)
_KNOWN = {rate * 2**power for rate in USUAL_RATES for power in _POWERS_OF_TWO}


def check_rate(
    name: str,
    rate: int,
    field: bytes,
    encode: Callable[[int], bytes],
    *,
    also_known: Iterable[int] = (),
) -> None:
    """Refuses an unusual rate that is one damaged byte away from a usual one.

    Damage is a flipped bit, or a byte of zeros or of ones. What becomes of one usual rate may be another, as of
    16 kHz in a float 32 kHz; that cannot be told.

    Args:
        name: of the format, for people.
        rate: Hz, as it was read.
        field: the bytes that it was read from.
        encode: the bytes that stand for a rate; no damage where they are not as many as `field`.
        also_known: further rates that are none of damage.

    Raises:
        Reject: bad_audio.
    """
    if rate in _KNOWN or rate in also_known:
        return
    for usual in USUAL_RATES:
        if is_damaged_byte(field, encode(usual)):
            told = f"its header says {rate} Hz, which is a damaged byte from {usual} Hz"
            raise Reject("bad_audio", f"a damaged {name}: {told}, and nothing in it says the rate again")


def is_damaged_byte(field: bytes, right: bytes) -> bool:
    """Whether a single byte differs: in one bit, or because all its bits were cleared or set."""
    pairs = [(a, b) for a, b in zip(field, right, strict=False) if a != b]
    return (
        len(field) == len(right)
        and len(pairs) == 1
        and (pairs[0][0] in (0, 0xFF) or (pairs[0][0] ^ pairs[0][1]).bit_count() == 1)
    )


def as_integers(num_bytes: int, order: str) -> Callable[[int], bytes]:
    """Rates as integers of so many bytes in an order, as struct names it; one without room there is all ones."""
    name: Literal["big", "little"] = "big" if order == ">" else "little"
    return lambda rate: min(rate, (1 << 8 * num_bytes) - 1).to_bytes(num_bytes, name)
