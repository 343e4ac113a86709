"""The converters of each model, with the arguments of the class that its users know.

`AudioConverter` computes them all; these say what the arguments of a keras-hub layer or a transformers feature
extractor mean as a front end. `from_preset` finds the class of a preset here.
"""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from melbeam.transforms.audio_converter import AudioConverter
from melbeam.transforms.bounds import check_flag
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.precision import Precision
from melbeam.transforms.presets import save_preset
from melbeam.transforms.presets.keras_files import gemma3n_config, gemma4_config, whisper_config, whole
from melbeam.transforms.presets.milliseconds import frames_from_milliseconds

__all__ = [
    "CONVERTERS",
    "AudioConverter",
    "Gemma3nAudioConverter",
    "Gemma4AudioConverter",
    "WhisperAudioConverter",
]


class _DefaultNumber(int):
    """A default that can be told apart from the same number as an argument."""


_PAGE_FFT = _DefaultNumber(400)


class Gemma4AudioConverter(AudioConverter, family="gemma4"):
    """keras-hub's `Gemma4AudioConverter` with the arguments and the mathematics of its published page.

    The page describes keras-hub 0.27.1: a 400-point power spectrum, centred frames, Slaney-normed mel bank.
    The released checkpoints were trained on other numbers: `Gemma4AudioConverter.from_preset("gemma4_2b")`, or
    `AudioConverter("gemma4")`, has those.

    `frame_length` belongs to the class of keras-hub >= 0.28. Given, in a configuration too, it means that class's
    mathematics, which is the checkpoints': magnitudes, causal frames, ln(mel + floor).

    Args:
        num_mels: mel bins.
        num_fft_bins: points of the FFT, and samples under the window where `frame_length` is not given; 512
            where it is.
        stride: samples from one frame to the next.
        sampling_rate: Hz.
        max_audio_length: seconds; longer clips are cut, shorter ones padded with silence. None takes any
            length, with `pad_to_max_length=False`.
        min_frequency: Hz, the lower edge of the mel bank.
        max_frequency: Hz, its upper edge.
        mel_floor: the least mel value before the logarithm.
        per_bin_mean: `num_mels` numbers subtracted after the logarithm, or None.
        per_bin_stddev: `num_mels` numbers that divide afterwards, or None.
        frame_length: samples under the window, for the mathematics of keras-hub >= 0.28; None for the page's.
        front_end: takes the place of all of these: a `FrontEnd`, or what names one.
        pad_to_max_length: False gives `num_samples // stride` rows, the page's (100, 128) for one second.
        precision: of window, FFT and spectrum, "float64" or "float32".
        name: of the converter.
        dtype: of the output, as `AudioConverter` takes it.
        trainable: accepted as Keras layers do.
        padding_side: "right".
        padding_value: 0.0.

    Raises:
        ValueError: an argument is out of its bounds.
    """

    def __init__(
        self,
        num_mels: int = 128,
        num_fft_bins: int = _PAGE_FFT,
        stride: int = 160,
        sampling_rate: int = 16000,
        max_audio_length: float | None = 30,
        min_frequency: float = 0.0,
        max_frequency: float = 8000.0,
        mel_floor: float = 1e-5,
        per_bin_mean: Sequence[float] | None = None,
        per_bin_stddev: Sequence[float] | None = None,
        frame_length: int | None = None,
        *,
        front_end: FrontEnd | str | None = None,
        pad_to_max_length: bool = True,
        precision: Precision = "float64",
        name: str | None = None,
        dtype: Any = "float32",
        trainable: bool = False,
        padding_side: str = "right",
        padding_value: float = 0.0,
    ) -> None:
        _check_counts(num_fft_bins=num_fft_bins, stride=stride)
        if frame_length is None:
            base, frame_length, fft_length = FrontEnd.load("gemma4_documented"), num_fft_bins, num_fft_bins
        else:
            _check_counts(frame_length=frame_length)
            fft_length = 512 if num_fft_bins is _PAGE_FFT else num_fft_bins
            base = FrontEnd.load("gemma4")
        by_numbers = base.replace(
            num_mels=num_mels,
            frame_length=frame_length,
            fft_length=fft_length,
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
            _one_of(front_end, by_numbers, FrontEnd.load("gemma4_documented")),
            pad_to_max_length=pad_to_max_length,
            precision=precision,
            name=name,
            dtype=dtype,
            trainable=trainable,
            padding_side=padding_side,
            padding_value=padding_value,
        )

    @classmethod
    def _keras_config(cls, front_end: FrontEnd) -> dict[str, Any]:
        return gemma4_config(front_end)

    @classmethod
    def _arguments_of_keras(cls, config: dict[str, Any]) -> dict[str, Any]:
        if config.get("frame_length", 0) is not None:
            return config
        return {**config, "frame_length": config.get("num_fft_bins", 512)}  # as keras-hub reads it


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
        front_end: takes the place of all of these: a `FrontEnd`, or what names one.
        return_attention_mask: kept for keras-hub's configuration, and for the Keras layer, which returns the mask;
            here `mask` gives it.
        pad_to_max_length: True gives (2997, 128) for 30 s; False gives `num_frames(n)` rows.
        precision: of window, FFT and spectrum, "float64" or "float32".
        name: of the converter.
        dtype: of the output, as `AudioConverter` takes it.
        trainable: accepted as Keras layers do.
        padding_side: "right".
        padding_value: 0.0.

    Raises:
        ValueError: an argument is out of its bounds.
    """

    _counted_with = ("frame_length_ms", "hop_length_ms", "fft_overdrive")

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
        front_end: FrontEnd | str | None = None,
        return_attention_mask: bool = True,
        pad_to_max_length: bool = True,
        precision: Precision = "float64",
        name: str | None = None,
        dtype: Any = "float32",
        trainable: bool = False,
        padding_side: str = "right",
        padding_value: float = 0.0,
    ) -> None:
        _check_counts(feature_size=feature_size, sampling_rate=sampling_rate)
        for argument, value in (("frame_length_ms", frame_length_ms), ("hop_length_ms", hop_length_ms)):
            if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < value < math.inf:
                raise ValueError(f"{argument} must be a number of milliseconds above 0, got {value!r}")
        check_flag("fft_overdrive", fft_overdrive)
        check_flag("return_attention_mask", return_attention_mask)
        if dither != 0:
            raise ValueError(
                f"dither must be 0.0, got {dither!r}: noise would give other features of the same clip each time"
            )
        # Python's numbers, since NumPy's small integers overflow.
        lengths = frames_from_milliseconds(
            int(sampling_rate), float(frame_length_ms), float(hop_length_ms), fft_overdrive=fft_overdrive
        )
        by_numbers = FrontEnd.load("gemma3n").replace(
            num_mels=feature_size,
            sampling_rate=sampling_rate,
            **lengths._asdict(),
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
            _one_of(front_end, by_numbers, FrontEnd.load("gemma3n")),
            pad_to_max_length=pad_to_max_length,
            precision=precision,
            name=name,
            dtype=dtype,
            trainable=trainable,
            padding_side=padding_side,
            padding_value=padding_value,
        )
        self._return_attention_mask = bool(return_attention_mask)

    @property
    def return_attention_mask(self) -> bool:
        """Whether the Keras layer that holds this converter returns the mask of valid frames."""
        return self._return_attention_mask

    def __getattr__(self, name: str) -> Any:
        """The other attributes of keras-hub's class, whose names are the keys of its configuration."""
        config = self._keras_config(self.front_end) if name in self._keras_keys() else {}
        if name in config:
            return config[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def get_config(self) -> dict[str, Any]:
        """See `AudioConverter.get_config`."""
        return {**super().get_config(), "return_attention_mask": self.return_attention_mask}

    def save_to_preset(self, preset_dir: str | Path) -> None:
        """See `AudioConverter.save_to_preset`."""
        save_preset(self.front_end, preset_dir, self.family, return_attention_mask=self.return_attention_mask)

    @classmethod
    def _keras_config(cls, front_end: FrontEnd) -> dict[str, Any]:
        config = {**gemma3n_config(front_end), "max_audio_length": whole(front_end.max_audio_length)}
        del config["return_attention_mask"]  # which is no number of the front end
        return config

    @classmethod
    def _arguments_of_keras(cls, config: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in config.items() if key != "seed"}  # of the dither, which is refused


class WhisperAudioConverter(AudioConverter, family="whisper"):
    """keras-hub's `WhisperAudioConverter`, which is OpenAI's and transformers' mathematics too.

    Args:
        num_mels: mel bins: 80, and 128 for large-v3.
        num_fft_bins: points of the FFT, and samples under the window.
        stride: samples from one frame to the next.
        sampling_rate: Hz.
        max_audio_length: seconds; longer clips are cut, shorter ones padded with silence.
        front_end: takes the place of all of these: a `FrontEnd`, or what names one.
        pad_to_max_length: False gives the rows that the clip reaches into, a prefix of the padded ones.
        precision: of window, FFT and spectrum, "float64" or "float32".
        name: of the converter.
        dtype: of the output, as `AudioConverter` takes it.
        trainable: accepted as Keras layers do.
        padding_side: "right".
        padding_value: 0.0.

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
        front_end: FrontEnd | str | None = None,
        pad_to_max_length: bool = True,
        precision: Precision = "float64",
        name: str | None = None,
        dtype: Any = "float32",
        trainable: bool = False,
        padding_side: str = "right",
        padding_value: float = 0.0,
    ) -> None:
        _check_counts(num_fft_bins=num_fft_bins, stride=stride)
        by_numbers = FrontEnd.load("whisper").replace(
            num_mels=num_mels,
            frame_length=num_fft_bins,
            fft_length=num_fft_bins,
            hop_length=stride,
            sampling_rate=sampling_rate,
            max_audio_length=max_audio_length,
        )
        super().__init__(
            _one_of(front_end, by_numbers, FrontEnd.load("whisper")),
            pad_to_max_length=pad_to_max_length,
            precision=precision,
            name=name,
            dtype=dtype,
            trainable=trainable,
            padding_side=padding_side,
            padding_value=padding_value,
        )

    @classmethod
    def _keras_config(cls, front_end: FrontEnd) -> dict[str, Any]:
        return whisper_config(front_end)


# By the family of their presets.
CONVERTERS: dict[str, type[AudioConverter]] = {
    "gemma4": Gemma4AudioConverter,
    "gemma3n": Gemma3nAudioConverter,
    "whisper": WhisperAudioConverter,
}


def _register_with_keras() -> None:
    """Lets Keras find the classes by their names in a configuration; TensorFlow brings Keras with it."""
    keras = sys.modules.get("keras")
    if keras is not None:
        for converter in (AudioConverter, *CONVERTERS.values()):
            keras.saving.register_keras_serializable(package="melbeam")(converter)


_register_with_keras()


def _one_of(front_end: FrontEnd | str | None, by_numbers: FrontEnd, default: FrontEnd) -> FrontEnd | str:
    """The front end that was given, or that of the numbers that were.

    Raises:
        ValueError: both were.
    """
    if front_end is not None and by_numbers != default:
        given = by_numbers.to_dict()
        changed = [f"{name} {given[name]!r}" for name, value in default.to_dict().items() if given[name] != value]
        raise ValueError(
            f"front_end takes the place of the other numbers, but they were given too ({', '.join(changed[1:])}): "
            "pass either"
        )
    return by_numbers if front_end is None else front_end


def _check_counts(**arguments: Any) -> None:
    """Checks counts by the names of the caller's arguments, so that an error names what was written."""
    for argument, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
            raise ValueError(f"{argument} must be a whole number of at least 1, got {value!r}")
