"""Audio converters: a front end, its TensorFlow graph, and the calling convention of keras-hub's layers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from melbeam.transforms import log_mel
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.log_mel import PRECISIONS, Precision

_OUTPUT_DTYPES = ("float32", "bfloat16", "float16")


class AudioConverter:
    """Waveforms to log-mel features, as one TensorFlow graph.

    Works eagerly, inside `tf.function` and in `tf.data.Dataset.map`; pickles to its arguments.

    Args:
        front_end: a `FrontEnd`, the name of a shipped one, or a path of a YAML file.
        pad_to_max_length: True gives every clip the frames of `max_audio_length`, as keras-hub does;
            False gives `num_frames(n)` rows, a prefix of the padded result.
        precision: of window, FFT and spectrum, "float64" or "float32".
        name: of the converter; decides nothing.
        dtype: of the output, "float32", "bfloat16" or "float16".
        trainable: accepted as Keras layers do; there is nothing to train.

    Raises:
        ValueError: an argument is out of its bounds.
    """

    def __init__(
        self,
        front_end: FrontEnd | str | Path,
        *,
        pad_to_max_length: bool = True,
        precision: Precision = "float64",
        name: str | None = None,
        dtype: str = "float32",
        trainable: bool = False,
    ) -> None:
        self.front_end = front_end if isinstance(front_end, FrontEnd) else FrontEnd.load(front_end)
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {PRECISIONS}, got {precision!r}")
        if dtype not in map(tf.as_dtype, _OUTPUT_DTYPES):
            raise ValueError(f"dtype must be one of {_OUTPUT_DTYPES}, got {dtype!r}")
        if pad_to_max_length and self.front_end.max_samples is None:
            raise ValueError(
                "pad_to_max_length=True needs a front end with max_audio_length; "
                f"{self.front_end.name!r} has none: pass pad_to_max_length=False"
            )
        self.pad_to_max_length = pad_to_max_length
        self.precision: Precision = precision
        self.name = name or self.front_end.name
        self.dtype = tf.as_dtype(dtype).name
        self.trainable = trainable
        self._compiled = tf.function(
            self._features,
            input_signature=[tf.TensorSpec([None, None], self.precision)],
            autograph=False,
        )

    def __call__(self, audio: Any, lengths: Any = None) -> tf.Tensor:
        """Features of one clip or of a batch.

        Args:
            audio: `[num_samples]` or `[batch, num_samples]` at the front end's sampling rate; floating point
                in [-1, 1), or int8, int16, int32 (divided by their full scale; int16 by 32768), or int64
                (16-bit samples as TFDS stores them, divided by 32768).
                Samples beyond `max_audio_length` are cut off, as the references do.
            lengths: integers `[batch]`, valid samples of each row of a batch; what lies behind is taken as
                silence. A row's features then equal those of its clip alone, on its valid frames (`mask`).

        Returns:
            `[frames, num_mels]` or `[batch, frames, num_mels]`, of the converter's dtype.

        Raises:
            TypeError: `audio` is of a dtype that holds no samples, or ragged.
            ValueError: `audio` has neither one nor two dimensions, or `lengths` do not fit it.
        """
        if isinstance(audio, tf.RaggedTensor):
            raise TypeError("audio is ragged: pass audio.to_tensor() and lengths=audio.row_lengths()")
        audio = tf.convert_to_tensor(audio)
        rank = audio.shape.rank
        if rank not in (1, 2):
            shape = "unknown rank" if rank is None else f"shape {tuple(audio.shape)}"
            raise ValueError(f"audio must be [num_samples] or [batch, num_samples], got {shape}")
        waveform = log_mel.to_waveform(audio, self.precision)
        if rank == 1:
            if lengths is not None:
                raise ValueError("lengths belong to a batch, [batch, num_samples]; got one clip with lengths")
            waveform = waveform[tf.newaxis]
        elif lengths is not None:
            waveform = _silence_behind(waveform, lengths)
        features = self._compiled(waveform) if tf.executing_eagerly() else self._features(waveform)
        return features[0] if rank == 1 else features

    def _features(self, waveform: tf.Tensor) -> tf.Tensor:
        """`[batch, num_samples]` to `[batch, frames, num_mels]`, the frame count static where it can be."""
        static: int | None
        if self.pad_to_max_length:
            static = self.front_end.padded_frames
        elif waveform.shape[1] is not None:
            static = self.front_end.num_frames(waveform.shape[1])
        else:
            static = None
        frames = static
        if frames is None:
            frames = log_mel.num_frames(tf.shape(waveform)[1], self.front_end)
        features = log_mel.log_mel_spectrogram(waveform, self.front_end, self.precision, frames)
        features = tf.ensure_shape(features, [waveform.shape[0], static, self.front_end.num_mels])
        return tf.cast(features, self.dtype)

    def num_frames(self, num_samples: int) -> int:
        """Valid frames of a clip of `num_samples` samples."""
        return self.front_end.num_frames(num_samples)

    def num_audio_tokens(self, num_samples: int) -> int | None:
        """Tokens that the model's encoder makes of such a clip; None where the front end names none."""
        return self.front_end.num_audio_tokens(num_samples)

    def mask(self, lengths: Any, num_frames: int | tf.Tensor) -> tf.Tensor:
        """Which frames are valid: integers `[batch]` (valid samples) to bool `[batch, num_frames]`."""
        lengths = tf.cast(tf.convert_to_tensor(lengths), tf.int32)
        return tf.sequence_mask(log_mel.num_frames(lengths, self.front_end), num_frames)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, the whole front end among them, as JSON takes them."""
        return {
            "front_end": self.front_end.to_dict(),
            "pad_to_max_length": self.pad_to_max_length,
            "precision": self.precision,
            "name": self.name,
            "dtype": self.dtype,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> AudioConverter:
        """Inverse of `get_config`; of whichever class, the same mathematics."""
        arguments = dict(config)
        converter = cls.__new__(cls)
        AudioConverter.__init__(converter, FrontEnd.from_dict(arguments.pop("front_end")), **arguments)
        return converter

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_config, (self.get_config(),)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.front_end.name!r}, fingerprint {self.front_end.fingerprint[:16]}, "
            f"pad_to_max_length={self.pad_to_max_length}, precision={self.precision!r})"
        )


class Gemma4AudioConverter(AudioConverter):
    """keras-hub's `Gemma4AudioConverter` with the arguments and the mathematics of its published page.

    The page describes keras-hub 0.27.1: a 400-point power spectrum, centred frames, Slaney-normed mel bank.
    The released checkpoints were trained on other numbers: `AudioConverter("gemma4")` has those.

    Args:
        num_mels: mel bins.
        num_fft_bins: points of the FFT, and samples under the window.
        stride: samples from one frame to the next.
        sampling_rate: Hz.
        max_audio_length: seconds; longer clips are cut, shorter ones padded with silence.
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
        # The page's names, so that an error names what the caller wrote.
        for argument, value in (("num_fft_bins", num_fft_bins), ("stride", stride)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{argument} must be a whole number of at least 1, got {value!r}")
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


def _silence_behind(waveform: tf.Tensor, lengths: Any) -> tf.Tensor:
    """Zeroes what lies behind each row's valid samples."""
    lengths = tf.convert_to_tensor(lengths)
    if not lengths.dtype.is_integer or lengths.shape.rank != 1:
        raise ValueError(
            f"lengths must be integers [batch], got {lengths.dtype.name} of shape {tuple(lengths.shape)}"
        )
    if not lengths.shape.is_compatible_with(waveform.shape[:1]):
        raise ValueError(f"lengths must have a value for each of {waveform.shape[0]} rows, got {lengths.shape[0]}")
    lengths, width = tf.cast(lengths, tf.int64), tf.shape(waveform, out_type=tf.int64)[1]
    message = "lengths must be from 0 to the samples of a row"
    if tf.executing_eagerly() and len(lengths) and not 0 <= min(lengths.numpy()) <= max(lengths.numpy()) <= width:
        raise ValueError(f"{message}, {int(width)}, got {min(lengths.numpy())} to {max(lengths.numpy())}")
    checks = [
        tf.debugging.assert_non_negative(lengths, message),
        tf.debugging.assert_less_equal(lengths, width, message),
    ]
    with tf.control_dependencies([check for check in checks if check is not None]):
        valid = tf.sequence_mask(lengths, width)
    return tf.where(valid, waveform, tf.zeros_like(waveform))
