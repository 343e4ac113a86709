"""How loud a clip is: what tells silence, clipping and a wrong scale without listening."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

FULL_SCALE = 32767 / 32768  # the largest 16-bit sample
SILENCE_DBFS = -60.0
_BLOCK_SECONDS = 0.01
# The level in decibels that stands for digital silence, whose logarithm does not exist.
FLOOR_DBFS = -200.0
LEVELS = ("rms_dbfs", "peak_dbfs", "full_scale_fraction", "silent_fraction")
_DECIMALS = 3  # more would differ between types of CPU, whose sums round otherwise
# What two of the rounded levels, kept as float32, may be apart where they are equal.
_ROUNDING = 2 * 10.0**-_DECIMALS


def levels(samples: np.ndarray, sampling_rate: int) -> dict[str, float]:
    """The levels of a clip, by the names of their fields in a feature record.

    `rms_dbfs` is 20 log10 of the root mean square of all samples and `peak_dbfs` that of the largest absolute one;
    0 dBFS is an amplitude of 1, so a sine of full scale has -3.01 dBFS (not the 0 of AES17). `full_scale_fraction`
    is the share of samples whose amplitude is 32767/32768 or more, and `silent_fraction` that of whole blocks of
    10 ms whose root mean square is below -60 dBFS.

    Args:
        samples: float32 `[num_samples]`, finite, at least one.
        sampling_rate: Hz.
    """
    block = _block(sampling_rate)
    whole = len(samples) // block * block
    blocks = samples[:whole].reshape(-1, block)
    # Each block's product with itself: BLAS's, which is quicker than np.einsum.
    energies = np.matmul(blocks[:, np.newaxis], blocks[:, :, np.newaxis])
    energy = float(np.add.reduce(energies, axis=None))  # in pairs, so that float32 keeps six digits
    if whole < len(samples):
        rest = samples[whole:]
        energy += float(rest @ rest)
    peak = max(float(np.maximum.reduce(samples)), -float(np.minimum.reduce(samples)))
    at_full_scale = np.count_nonzero(np.abs(samples) >= FULL_SCALE) if peak >= FULL_SCALE else 0
    silence = np.float32(block * 10.0 ** (SILENCE_DBFS / 10))
    silent = np.count_nonzero(energies < silence) if len(energies) else energy == 0
    return {
        "rms_dbfs": _decibels(math.sqrt(energy / len(samples))),
        "peak_dbfs": _decibels(peak),
        "full_scale_fraction": at_full_scale / len(samples),
        "silent_fraction": float(silent) / max(1, len(energies)),
    }


def check_levels(levels: Mapping[str, float], num_samples: int, sampling_rate: int) -> None:
    """Holds stored levels against each other and against the length of their clip, without its samples.

    Args:
        levels: as `levels` gives them, rounded to float32.
        num_samples: of the clip.
        sampling_rate: Hz.

    Raises:
        ValueError: no clip of that length has these levels; the message names the one that is wrong.
    """
    rms, peak, full_scale, silent = (levels[name] for name in LEVELS)
    blocks = max(1, num_samples // _block(sampling_rate))
    for name in LEVELS:
        if not np.isfinite(levels[name]):
            raise ValueError(f"{name} {levels[name]}, which is not finite")
    for wrong, name, why in (
        (rms < FLOOR_DBFS - _ROUNDING, "rms_dbfs", f"below {FLOOR_DBFS:g}"),
        (peak < FLOOR_DBFS - _ROUNDING, "peak_dbfs", f"below {FLOOR_DBFS:g}"),
        (rms > peak + _ROUNDING, "rms_dbfs", f"above its peak_dbfs {peak:.6g}"),
        (
            peak > FLOOR_DBFS + _ROUNDING and rms < peak - 10 * np.log10(num_samples) - _ROUNDING,
            "rms_dbfs",
            f"below that of one sample at its peak_dbfs {peak:.6g}",
        ),
        (not _is_share(full_scale, num_samples), "full_scale_fraction", f"no share of {num_samples} samples"),
        (full_scale > 0 and peak < -_ROUNDING, "full_scale_fraction", f"with a peak_dbfs of {peak:.6g}"),
        (full_scale == 0 and peak > _ROUNDING, "full_scale_fraction", f"with a peak_dbfs of {peak:.6g}"),
        (not _is_share(silent, blocks), "silent_fraction", f"no share of {blocks} blocks of 10 ms"),
    ):
        if wrong:
            raise ValueError(f"{name} {levels[name]:.6g}, {why}")


def _is_share(fraction: float, total: int) -> bool:
    """Whether a float32 is some whole number of `total`, rounded."""
    count = fraction * total
    # Half a unit in the last place of float32, relative; and of the product's own.
    return 0 <= fraction <= 1 and abs(count - round(count)) <= max(1e-6, 1e-7 * count)


def _block(sampling_rate: int) -> int:
    return max(1, round(_BLOCK_SECONDS * sampling_rate))


def _decibels(amplitude: float) -> float:
    if amplitude <= 10.0 ** (FLOOR_DBFS / 20):
        return FLOOR_DBFS
    return round(20 * math.log10(amplitude), _DECIMALS)
