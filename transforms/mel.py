"""Windows and mel banks, in NumPy float64.

`tf.signal.linear_to_mel_weight_matrix` draws its triangles in mel space, which is up to 8e-3 away from what
the models were trained with; here they are drawn in Hz.
"""

from __future__ import annotations

import functools
import warnings
from typing import NamedTuple

import numpy as np

from melbeam.transforms.front_end import FrontEnd


def hann_window(length: int) -> np.ndarray:
    """The periodic Hann window, 0.5 - 0.5 cos(2 pi n / length): float64 `[length]`."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


# Slaney's scale (Auditory Toolbox, 1998): 200 / 3 Hz a mel up to 1 kHz, 15 mels; from there on 27 mels for each
# factor of 6.4.
_SLANEY_KNEE_HERTZ, _SLANEY_KNEE_MEL = 1000.0, 15.0
_SLANEY_LOG_STEP = np.log(6.4) / 27.0


def hertz_to_mel(hertz: np.ndarray | float, scale: str = "htk") -> np.ndarray:
    """The "htk" mel scale, 2595 log10(1 + f / 700) (the HTK book, section 5.4), or "slaney"."""
    hertz = np.asarray(hertz, np.float64)
    if scale == "htk":
        return 2595.0 * np.log10(1.0 + hertz / 700.0)
    above = np.log(np.maximum(hertz, _SLANEY_KNEE_HERTZ) / _SLANEY_KNEE_HERTZ) / _SLANEY_LOG_STEP
    return np.minimum(hertz, _SLANEY_KNEE_HERTZ) * (_SLANEY_KNEE_MEL / _SLANEY_KNEE_HERTZ) + above


def mel_to_hertz(mel: np.ndarray | float, scale: str = "htk") -> np.ndarray:
    """Inverse of `hertz_to_mel`."""
    mel = np.asarray(mel, np.float64)
    if scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    above = np.exp(_SLANEY_LOG_STEP * np.maximum(mel - _SLANEY_KNEE_MEL, 0.0))
    return np.minimum(mel, _SLANEY_KNEE_MEL) * (_SLANEY_KNEE_HERTZ / _SLANEY_KNEE_MEL) * above


def mel_bank(front_end: FrontEnd) -> np.ndarray:
    """Triangles in Hz, equally spaced in mel: float64 `[fft_length // 2 + 1, num_mels]`.

    With `mel_norm="slaney"` each triangle is divided by half its width in Hz, so that its area is 1.
    """
    edges = mel_to_hertz(
        np.linspace(
            hertz_to_mel(front_end.min_frequency, front_end.mel_scale),
            hertz_to_mel(front_end.max_frequency, front_end.mel_scale),
            front_end.num_mels + 2,
        ),
        front_end.mel_scale,
    )
    bins = np.arange(front_end.fft_length // 2 + 1) * (front_end.sampling_rate / front_end.fft_length)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    bank = np.maximum(0.0, np.minimum(rising, falling))
    if front_end.mel_norm == "slaney":
        bank *= 2.0 / (edges[2:] - edges[:-2])
    return bank


class MelBand(NamedTuple):
    """Neighbouring mel bins, and what of the spectrum they see.

    Attributes:
        first: the lowest of the spectrum's bins that one of them sees.
        end: one beyond the highest.
        weights: float64 `[end - first, mel bins]`, a dense part of the bank.
    """

    first: int
    end: int
    weights: np.ndarray


# Wider bands multiply more zeros, narrower ones make products of matrices too small to be quick: with 128 bins,
# 8 and 128 took a third longer for everything, 16 and 64 a tenth at most.
_BINS_OF_A_BAND = 32


def mel_bands(front_end: FrontEnd) -> list[MelBand]:
    """The bank cut along its diagonal: the concatenated products with its bands are the product with the bank."""
    bank = mel_bank(front_end)
    bands = []
    for start in range(0, front_end.num_mels, _BINS_OF_A_BAND):
        part = bank[:, start : start + _BINS_OF_A_BAND]
        seen = np.flatnonzero(part.any(axis=1))
        first, end = (int(seen[0]), int(seen[-1]) + 1) if len(seen) else (0, 1)
        bands.append(MelBand(first, end, part[first:end]))
    return bands


# The fields of a front end that decide which filters of its mel bank are empty.
_BANK_FIELDS = (
    "sampling_rate",
    "fft_length",
    "num_mels",
    "min_frequency",
    "max_frequency",
    "mel_scale",
)


def warn_of_empty_filters(front_end: FrontEnd) -> None:
    """Warns where triangles are so narrow that no point of the FFT lies in them, as librosa's `filters.mel` does.

    Such bins hold the floor, whatever the audio. It is no surprise in the banks of the shipped front ends, with
    which the models were trained.
    """
    if _bank_of(front_end) in _shipped_banks():
        return
    empty = np.flatnonzero(mel_bank(front_end).max(axis=0) == 0)
    if len(empty):
        shown = ", ".join(map(str, empty[:8])) + (", ..." if len(empty) > 8 else "")
        warnings.warn(
            f"{len(empty)} of the {front_end.num_mels} mel filters of front end {front_end.name!r} are empty "
            f"(bins {shown}), and hold the floor whatever the audio: take fewer mel bins, a longer FFT "
            f"({front_end.fft_length} now), or edges within 0 to {front_end.sampling_rate / 2:g} Hz",
            stacklevel=2,
        )


def _bank_of(front_end: FrontEnd) -> tuple[object, ...]:
    return tuple(getattr(front_end, field) for field in _BANK_FIELDS)


@functools.cache
def _shipped_banks() -> frozenset[tuple[object, ...]]:
    return frozenset(_bank_of(FrontEnd.load(name)) for name in FrontEnd.shipped())
