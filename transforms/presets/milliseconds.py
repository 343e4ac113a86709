"""Frames in milliseconds, as the extractors of Gemma 3n and Gemma 4 count them, in samples."""

from __future__ import annotations

import math
from typing import NamedTuple


class FrameLengths(NamedTuple):
    """The samples under the window, those from one frame to the next, and those of the FFT."""

    frame_length: int
    hop_length: int
    fft_length: int


def frames_from_milliseconds(
    rate: int, frame_length_ms: float, hop_length_ms: float, *, fft_overdrive: bool
) -> FrameLengths:
    """Milliseconds in samples at a rate in Hz; the FFT has the next power of two, twice that with `fft_overdrive`.

    transformers' `Gemma4AudioFeatureExtractor` and keras-hub's `Gemma3nAudioConverter` round in the same way.
    """
    frame_length = round(rate * frame_length_ms / 1000)
    fft_length = 2 ** math.ceil(math.log2(max(1, frame_length)))
    return FrameLengths(frame_length, round(rate * hop_length_ms / 1000), fft_length * (2 if fft_overdrive else 1))
