"""The audio converter: a front end, its TensorFlow graph, and the calling convention of keras-hub's layers."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from melbeam.transforms import block_kernel, log_mel
from melbeam.transforms.block_kernel import frame_kernel
from melbeam.transforms.exporting import export_saved_model, export_tflite
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.log_mel import PRECISIONS, Precision
from melbeam.transforms.packing import PackedFeatures
from melbeam.transforms.presets import BuiltInPreset, built_in, find_front_end, load_preset, save_preset
from melbeam.transforms.streaming import FeatureStream

# On a GPU, a longer clip is computed in pieces: one graph call takes some 50 bytes a sample and byte of precision.
_SAMPLES_AT_ONCE = 1 << 21
# What `from_preset` hands to the constructor; the rest are fields of the front end, by its names or by these.
_ARGUMENTS = ("pad_to_max_length", "precision", "name", "dtype", "trainable")
_FIELD_NAMES = {"num_fft_bins": "fft_length", "stride": "hop_length", "feature_size": "num_mels"}
_OUTPUT_DTYPES = ("float32", "bfloat16", "float16")


class _Presets:
    """`AudioConverter.presets`: the built-in presets that a class takes, by name."""

    def __get__(self, instance: Any, owner: type[AudioConverter]) -> dict[str, BuiltInPreset]:
        return built_in(owner.family)


class AudioConverter:
    """Waveforms to log-mel features, as one TensorFlow graph.

    Works eagerly, inside `tf.function` and in `tf.data.Dataset.map`; pickles to its arguments.

    Args:
        front_end: a `FrontEnd`, the name of a shipped one, a path of a YAML file, or a preset's handle.
        pad_to_max_length: True gives every clip the frames of `max_audio_length`, as keras-hub does;
            False gives `num_frames(n)` rows, a prefix of the padded result.
        precision: of window, FFT and spectrum, "float64" or "float32".
        name: of the converter; decides nothing.
        dtype: of the output, "float32", "bfloat16" or "float16".
        trainable: accepted as Keras layers do; there is nothing to train.

    Raises:
        ValueError: an argument is out of its bounds.
    """

    presets = _Presets()
    family: ClassVar[str | None] = None  # of the presets that a subclass takes; None takes all
    _by_family: ClassVar[dict[str, type[AudioConverter]]] = {}

    def __init_subclass__(cls, family: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if family is not None:
            cls.family = family
            cls._by_family[family] = cls

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
        self.front_end = find_front_end(front_end)
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

    @tf.autograph.experimental.do_not_convert  # it is graph code already
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
            `[frames, num_mels]` or `[batch, frames, num_mels]`, of the converter's dtype. Outside a graph, a clip
            of any length is computed in bounded memory, where neither `max_audio_length` nor padding bounds it.

        Raises:
            TypeError: `audio` is of a dtype that holds no samples, or ragged.
            ValueError: `audio` has neither one nor two dimensions, or `lengths` do not fit it.
        """
        if isinstance(audio, tf.RaggedTensor):
            raise TypeError("audio is ragged: pass audio.to_tensor() and lengths=audio.row_lengths()")
        if not isinstance(audio, np.ndarray):
            audio = tf.convert_to_tensor(audio)
        rank = audio.shape.rank if tf.is_tensor(audio) else audio.ndim
        if rank not in (1, 2):
            shape = "unknown rank" if rank is None else f"shape {tuple(audio.shape)}"
            raise ValueError(f"audio must be [num_samples] or [batch, num_samples], got {shape}")
        if lengths is not None:
            if rank == 1:
                raise ValueError("lengths belong to a batch, [batch, num_samples]; got one clip with lengths")
            lengths = _checked_lengths(lengths, audio.shape)
        if tf.executing_eagerly():
            return self._features_now(audio, lengths)
        return self._features_in_graph(tf.convert_to_tensor(audio), lengths)

    def _features_now(self, audio: np.ndarray | tf.Tensor, lengths: tf.Tensor | None) -> tf.Tensor:
        """`__call__` outside a graph, on one clip or a batch of any length."""
        if block_kernel.on_gpu() and audio.shape[-1] <= _SAMPLES_AT_ONCE:
            return self._on_gpu(tf.convert_to_tensor(audio), lengths)
        if not tf.is_tensor(audio):
            return self._packed_features(audio, lengths)
        return block_kernel.with_gradient_of(
            lambda samples: self._features_in_graph(samples, lengths),
            lambda samples: self._packed_features(block_kernel.as_array(samples), lengths),
        )(audio)

    def _packed_features(self, audio: np.ndarray, lengths: tf.Tensor | None) -> tf.Tensor:
        if audio.ndim == 1:
            features = self._packed.of_clip(audio)
        else:
            num_rows, num_samples = audio.shape
            valid = [num_samples] * num_rows if lengths is None else lengths.numpy().tolist()
            features = self._packed.of_batch(audio, valid)
        return tf.cast(features, self.dtype)

    @functools.cached_property
    def _packed(self) -> PackedFeatures:
        return PackedFeatures(self.front_end, self.precision, pad_to_max_length=self.pad_to_max_length)

    @functools.cached_property
    def _on_gpu(self) -> Any:
        return tf.function(self._features_in_graph, autograph=False, reduce_retracing=True)

    def _features_in_graph(self, audio: tf.Tensor, lengths: tf.Tensor | None) -> tf.Tensor:
        """`__call__` as operations of a graph, the frame count static where it can be."""
        waveform = log_mel.to_waveform(audio, self.precision)
        is_one_clip = waveform.shape.rank == 1
        if is_one_clip:
            waveform = waveform[tf.newaxis]
        elif lengths is not None:
            waveform = _silence_behind(waveform, lengths)
        static: int | None = None
        if self.pad_to_max_length:
            static = self.front_end.padded_frames
        elif waveform.shape[1] is not None:
            static = self.front_end.num_frames(waveform.shape[1])
        frames = log_mel.num_frames(tf.shape(waveform)[1], self.front_end) if static is None else static
        computed = frame_kernel(self.front_end, self.precision).in_graph(
            waveform,
            log_mel.num_computed_frames(frames, self.front_end),
            lambda audio, rows: log_mel.pad(audio, self.front_end, rows),
        )
        features = log_mel.finish_clips(computed, self.front_end, frames)
        features.set_shape([waveform.shape[0], static, self.front_end.num_mels])
        return tf.cast(features[0] if is_one_clip else features, self.dtype)

    def stream(self) -> FeatureStream:
        """A stream of this front end and precision: samples are pushed, frames are pulled.

        Raises:
            ValueError: the front end needs the whole clip (Whisper's).
        """
        return FeatureStream(self.front_end, self.precision)

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

    def export(self, folder: str | Path, *, xla: bool = False) -> None:
        """Writes a SavedModel that needs no melbeam: `exporting.export_saved_model`."""
        export_saved_model(self, self.front_end, folder, xla=xla)

    def export_tflite(self, path: str | Path) -> None:
        """Writes a TFLite model of built-in operations, float32: `exporting.export_tflite`."""
        export_tflite(self.front_end, path, pad_to_max_length=self.pad_to_max_length)

    @classmethod
    def from_preset(cls, preset: str | Path, load_weights: bool = True, **overrides: Any) -> AudioConverter:
        """The converter of a preset.

        Args:
            preset: a built-in name (`AudioConverter.presets`, `melbeam presets`), a folder, or an hf:// or
                kaggle:// handle: see `presets.load_preset`.
            load_weights: accepted as keras-hub does; there are no weights to load.
            **overrides: `pad_to_max_length`, `precision`, `name`, `dtype`, `trainable`; or fields of the front
                end (also as `num_fft_bins`, `stride`, `feature_size`), which then is no longer the preset's.

        Returns:
            Of the preset's own class, where it is called on `AudioConverter`.

        Raises:
            ValueError: there is no such preset, it cannot be reached, its file is wrong, it has no audio, it
                belongs to another class, or an override is out of its bounds.
        """
        loaded = load_preset(preset)
        target = cls._by_family.get(loaded.family or "", cls) if cls.family is None else cls
        if target.family not in (None, loaded.family):
            raise ValueError(
                f"{preset} is a preset of {loaded.family or 'no known family'}, not of {cls.__name__} "
                f"({cls.family}): use AudioConverter.from_preset, which picks the class"
            )
        front_end = loaded.front_end
        if front_end.frame_length == front_end.fft_length and "num_fft_bins" in overrides:
            overrides.setdefault("frame_length", overrides["num_fft_bins"])
        arguments = {name: overrides.pop(name) for name in _ARGUMENTS if name in overrides}
        if overrides:
            front_end = front_end.replace(
                **{_FIELD_NAMES.get(name, name): value for name, value in overrides.items()}
            )
        converter = target.__new__(target)
        AudioConverter.__init__(converter, front_end, **arguments)
        return converter

    def save_to_preset(self, preset_dir: str | Path) -> None:
        """Writes the front end as a preset, keras-hub's form where that can express it: `presets.save_preset`."""
        save_preset(self.front_end, preset_dir, self.family)

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


def _silence_behind(waveform: tf.Tensor, lengths: Any) -> tf.Tensor:
    """Zeroes what lies behind each row's valid samples."""
    lengths = tf.cast(_checked_lengths(lengths, waveform.shape), tf.int64)
    width = tf.shape(waveform, out_type=tf.int64)[1]
    checks = []
    if not tf.executing_eagerly():
        message = "lengths must be from 0 to the samples of a row"
        checks = [
            tf.debugging.assert_non_negative(lengths, message),
            tf.debugging.assert_less_equal(lengths, width, message),
        ]
    with tf.control_dependencies(checks):
        valid = tf.sequence_mask(lengths, width)
    return tf.where(valid, waveform, tf.zeros_like(waveform))


def _checked_lengths(lengths: Any, shape: Any) -> tf.Tensor:
    """The lengths of a batch of that shape, as a tensor; their values are seen outside a graph only."""
    lengths = tf.convert_to_tensor(lengths)
    if not lengths.dtype.is_integer or lengths.shape.rank != 1:
        raise ValueError(
            f"lengths must be integers [batch], got {lengths.dtype.name} of shape {tuple(lengths.shape)}"
        )
    if not lengths.shape.is_compatible_with(shape[:1]):
        raise ValueError(f"lengths must have a value for each of {shape[0]} rows, got {lengths.shape[0]}")
    if tf.executing_eagerly() and len(lengths):
        least, most = int(tf.reduce_min(lengths)), int(tf.reduce_max(lengths))
        if least < 0 or most > shape[1]:
            raise ValueError(f"lengths must be from 0 to {shape[1]}, the samples of a row, got {least} to {most}")
    return lengths
