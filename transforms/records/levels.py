"""How loud a clip is: what tells silence, clipping and a wrong scale without listening."""

from __future__ import annotations

import numpy as np

FULL_SCALE = 32767 / 32768  # the largest 16-bit sample
SILENCE_DBFS = -60.0
_BLOCK_SECONDS = 0.01
# Decibels of digital silence, whose logarithm there is none of.
FLOOR_DBFS = -200.0
_DECIMALS = 3  # more would differ between types of CPU, whose sums round otherwise


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
    block = max(1, round(_BLOCK_SECONDS * sampling_rate))
    whole = len(samples) // block * block
    blocks = samples[:whole].reshape(-1, block)
    energies = np.einsum("ij,ij->i", blocks, blocks).astype(np.float64)
    rest = samples[whole:].astype(np.float64)
    energy = float(energies.sum() + rest @ rest)
    largest, least = float(samples.max()), float(samples.min())
    peak = max(largest, -least)
    at_full_scale = np.count_nonzero(np.abs(samples) >= FULL_SCALE) if peak >= FULL_SCALE else 0
    silent = np.count_nonzero(energies < block * 10.0 ** (SILENCE_DBFS / 10)) if len(energies) else energy == 0
    return {
        "rms_dbfs": _decibels(np.sqrt(energy / len(samples))),
        "peak_dbfs": _decibels(peak),
        "full_scale_fraction": at_full_scale / len(samples),
        "silent_fraction": float(silent) / max(1, len(energies)),
    }


def _decibels(amplitude: float) -> float:
    if amplitude <= 10.0 ** (FLOOR_DBFS / 20):
        return FLOOR_DBFS
    return round(20 * float(np.log10(amplitude)), _DECIMALS)
