"""The converters of each model, with the arguments of the class that its users know.

`AudioConverter` computes them all; these say what the arguments of a keras-hub layer or a transformers feature
extractor mean as a front end. `from_preset` finds the class of a preset here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from melbeam.transforms.audio_converter import AudioConverter
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.precision import Precision

__all__ = ["AudioConverter", "Gemma3nAudioConverter", "Gemma4AudioConverter", "WhisperAudioConverter"]


class Gemma4AudioConverter(AudioConverter, family="gemma4"):
    """keras-hub's `Gemma4AudioConverter` with the arguments and the mathematics of its published page.

    The page describes keras-hub 0.27.1: a 400-point power spectrum, centred frames, Slaney-normed mel bank.
    The released checkpoints were trained on other numbers: `Gemma4AudioConverter.from_preset("gemma4_2b")`, or
    `AudioConverter("gemma4")`, has those.

    Args:
        num_mels: mel bins.
        num_fft_bins: points of the FFT, and samples under the window.
        stride: samples from one frame to the next.
        sampling_rate: Hz.
        max_audio_length: seconds; longer clips are cut, shorter ones padded with silence. None takes any
            length, with `pad_to_max_length=False`.
        min_frequency: Hz, the lower edge of the mel bank.
        max_frequency: Hz, its upper edge.
        mel_floor: the least mel value before the logarithm.
        per_bin_mean: `num_mels` numbers subtracted after the logarithm, or None.
        per_bin_stddev: `num_mels` numbers that divide afterwards, or None.
        pad_to_max_length: False gives `num_samples // stride` rows, the page's (100, 128) for one second.
        precision: of window, FFT and spectrum, "float64" or "float32".
        name: of the converter.
        dtype: of the output.
        trainable: accepted as Keras layers do.

    Raises:
        ValueError: an argument is out of its bounds.
    """

    def __init__(
        self,
        num_mels: int = 128,
        num_fft_bins: int = 400,
        stride: int = 160,
        sampling_rate: int = 16000,
        max_audio_length: float | None = 30,
        min_frequency: float = 0.0,
        max_frequency: float = 8000.0,
        mel_floor: float = 1e-5,
        per_bin_mean: Sequence[float] | None = None,
        per_bin_stddev: Sequence[float] | None = None,
        *,
        pad_to_max_length: bool = True,
        precision: Precision = "float64",
        name: str | None = None,
        dtype: str = "float32",
        trainable: bool = False,
    ) -> None:
        _check_counts(num_fft_bins=num_fft_bins, stride=stride)
        front_end = FrontEnd.load("gemma4_documented").replace(
            num_mels=num_mels,
            frame_length=num_fft_bins,
            fft_length=num_fft_bins,
            hop_length=stride,
            sampling_rate=sampling_rate,
            max_audio_length=max_audio_length,
            min_frequency=min_frequency,
            max_frequency=max_frequency,
            mel_floor=mel_floor,
            per_bin_mean=per_bin_mean,
            per_bin_stddev=per_bin_stddev,
        )
        super().__init__(
            front_end,
            pad_to_max_length=pad_to_max_length,
            precision=precision,
            name=name,
            dtype=dtype,
            trainable=trainable,
        )


class Gemma3nAudioConverter(AudioConverter, family="gemma3n"):
    """transformers' `Gemma3nAudioFeatureExtractor`, with its arguments and its mathematics.

    keras-hub's converter of this name pre-emphasises the whole waveform, this one each frame by itself: they
    differ in a frame's first sample only, where the window is 0.

    Args:
        feature_size: mel bins.
        sampling_rate: Hz.
        frame_length_ms: milliseconds under the window.
        hop_length_ms: milliseconds from one frame to the next.
        min_frequency: Hz, the lower edge of the mel bank.
        max_frequency: Hz, its upper edge.
        preemphasis: the coefficient; 0 for none.
        preemphasis_htk_flavor: True scales a frame's first sample by 1 - preemphasis, as HTK does.
        fft_overdrive: True doubles the FFT beyond the next power of two.
        dither: 0.0. Noise would give other features of the same clip each time, so any other value is refused.
        input_scale_factor: multiplies the samples.
        mel_floor: the least mel value before the logarithm.
        per_bin_mean: `feature_size` numbers subtracted after the logarithm, or None.
        per_bin_stddev: `feature_size` numbers that divide afterwards, or None.
        max_audio_length: seconds; longer clips are cut. None takes any length, with `pad_to_max_length=False`.
        pad_to_max_length: True gives (2997, 128) for 30 s; False gives `num_frames(n)` rows.
        precision: of window, FFT and spectrum, "float64" or "float32".
        name: of the converter.
        dtype: of the output.
        trainable: accepted as Keras layers do.

    Raises:
        ValueError: an argument is out of its bounds.
    """

    def __init__(
        self,
        feature_size: int = 128,
        sampling_rate: int = 16000,
        frame_length_ms: float = 32.0,
        hop_length_ms: float = 10.0,
        min_frequency: float = 125.0,
        max_frequency: float = 7600.0,
        preemphasis: float = 0.97,
        preemphasis_htk_flavor: bool = True,
        fft_overdrive: bool = True,
        dither: float = 0.0,
        input_scale_factor: float = 1.0,
        mel_floor: float = 1e-5,
        per_bin_mean: Sequence[float] | None = None,
        per_bin_stddev: Sequence[float] | None = None,
        max_audio_length: float | None = 30,
        *,
        pad_to_max_length: bool = True,
        precision: Precision = "float64",
        name: str | None = None,
        dtype: str = "float32",
        trainable: bool = False,
    ) -> None:
        _check_counts(feature_size=feature_size, sampling_rate=sampling_rate)
        for argument, value in (("frame_length_ms", frame_length_ms), ("hop_length_ms", hop_length_ms)):
            if not isinstance(value, int | float) or not 0 < value < math.inf:
                raise ValueError(f"{argument} must be a number of milliseconds above 0, got {value!r}")
        if dither != 0:
            raise ValueError(
                f"dither must be 0.0, got {dither!r}: noise would give other features of the same clip each time"
            )
        frame_length = round(sampling_rate * frame_length_ms / 1000)
        front_end = FrontEnd.load("gemma3n").replace(
            num_mels=feature_size,
            sampling_rate=sampling_rate,
            frame_length=frame_length,
            hop_length=round(sampling_rate * hop_length_ms / 1000),
            fft_length=2 ** math.ceil(math.log2(max(1, frame_length))) * (2 if fft_overdrive else 1),
            min_frequency=min_frequency,
            max_frequency=max_frequency,
            preemphasis=preemphasis,
            preemphasis_htk_flavor=preemphasis_htk_flavor,
            input_scale_factor=input_scale_factor,
            mel_floor=mel_floor,
            per_bin_mean=per_bin_mean,
            per_bin_stddev=per_bin_stddev,
            max_audio_length=max_audio_length,
        )
        super().__init__(
            front_end,
            pad_to_max_length=pad_to_max_length,
            precision=precision,
            name=name,
            dtype=dtype,
            trainable=trainable,
        )


class WhisperAudioConverter(AudioConverter, family="whisper"):
    """keras-hub's `WhisperAudioConverter`, which is OpenAI's and transformers' mathematics too.

    Args:
        num_mels: mel bins: 80, and 128 for large-v3.
        num_fft_bins: points of the FFT, and samples under the window.
        stride: samples from one frame to the next.
        sampling_rate: Hz.
        max_audio_length: seconds; longer clips are cut, shorter ones padded with silence.
        pad_to_max_length: False gives the rows that the clip reaches into, a prefix of the padded ones.
        precision: of window, FFT and spectrum, "float64" or "float32".
        name: of the converter.
        dtype: of the output.
        trainable: accepted as Keras layers do.

    Raises:
        ValueError: an argument is out of its bounds.
    """

    def __init__(
        self,
        num_mels: int = 80,
        num_fft_bins: int = 400,
        stride: int = 160,
        sampling_rate: int = 16000,
        max_audio_length: float = 30,
        *,
        pad_to_max_length: bool = True,
        precision: Precision = "float64",
        name: str | None = None,
        dtype: str = "float32",
        trainable: bool = False,
    ) -> None:
        _check_counts(num_fft_bins=num_fft_bins, stride=stride)
        front_end = FrontEnd.load("whisper").replace(
            num_mels=num_mels,
            frame_length=num_fft_bins,
            fft_length=num_fft_bins,
            hop_length=stride,
            sampling_rate=sampling_rate,
            max_audio_length=max_audio_length,
        )
        super().__init__(
            front_end,
            pad_to_max_length=pad_to_max_length,
            precision=precision,
            name=name,
            dtype=dtype,
            trainable=trainable,
        )


def _check_counts(**arguments: Any) -> None:
    """The callers' names, so that an error names what they wrote."""
    for argument, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{argument} must be a whole number of at least 1, got {value!r}")
