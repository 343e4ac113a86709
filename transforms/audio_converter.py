"""The audio converter: a front end, its TensorFlow graph, and the calling convention of keras-hub's layers."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from melbeam.transforms import block_kernel, log_mel
from melbeam.transforms.audio_inputs import (
    checks_of_rate,
    dense_audio,
    refuse_after_fork,
    silence_behind,
    whole_lengths,
)
from melbeam.transforms.block_kernel import frame_kernel
from melbeam.transforms.bounds import check_integer
from melbeam.transforms.converter_base import ConverterBase
from melbeam.transforms.exporting import export_saved_model, export_tflite
from melbeam.transforms.packing import PackedFeatures
from melbeam.transforms.records.decoding import decode_audio
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.streaming import FeatureStream

# On a GPU, a longer clip is computed in pieces: one graph call takes some 50 bytes a sample and byte of precision.
_SAMPLES_AT_ONCE = 1 << 21


class AudioConverter(ConverterBase):
    """Waveforms to log-mel features, as one TensorFlow graph.

    Works eagerly, inside `tf.function` and in `tf.data.Dataset.map`; pickles to its configuration. It has the
    attributes of keras-hub's converters, read-only.

    A subclass with an `__init__` of its own hands `front_end=` and the keyword arguments below on: so
    `from_preset`, `from_config` and unpickling make one of it.

    Args:
        front_end: a `FrontEnd`, the name of a shipped one, a path of a YAML file, or a preset's handle.
        pad_to_max_length: True gives every clip the frames of `max_audio_length`, as keras-hub does;
            False gives `num_frames(n)` rows, a prefix of the padded result.
        precision: of window, FFT and spectrum, "float64" or "float32".
        name: of the converter; decides nothing.
        dtype: of the output, "float32", "bfloat16" or "float16"; None (float32) and Keras' dtype policies, whose
            compute dtype is taken, are understood.
        trainable: accepted as Keras layers do; there is nothing to train.
        padding_side: "right", where silence is put behind a short clip.
        padding_value: 0.0, silence.

    Raises:
        ValueError: an argument is out of its bounds.
    """

    @classmethod
    def _class_for(cls, family: str | None) -> type[AudioConverter]:
        """The class of a family's presets; a subclass that somebody else defines is never one."""
        from melbeam.transforms.converters import CONVERTERS  # which are subclasses of this one

        return CONVERTERS.get(family or "", cls) if cls is AudioConverter else cls

    # It is graph code already.
    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator, unused-ignore]
    def __call__(
        self, audio: Any, lengths: Any = None, *, sampling_rate: Any = None, training: bool | None = None
    ) -> tf.Tensor:
        """Features of one clip or of a batch.

        Args:
            audio: `[num_samples]` or `[batch, num_samples]` at the front end's sampling rate; floating point
                in [-1, 1), or int8, int16, int32 (divided by their full scale; int16 by 32768), or int64
                (16-bit samples as TFDS stores them, divided by 32768); integers in a list are 16-bit too.
                A batch may be a list of clips, or a `tf.RaggedTensor`, whose rows differ in length.
                Samples beyond `max_audio_length` are cut off, as the references do.
            lengths: integers `[batch]`, valid samples of each row of a batch; what lies behind is taken as
                silence. A row's features then equal those of its clip alone, on its valid frames (`mask`).
                Clips of unequal length have lengths of their own.
            sampling_rate: Hz of the audio, or None; checked, since nothing is resampled here.
            training: accepted as Keras layers do; decides nothing.

        Returns:
            `[frames, num_mels]` or `[batch, frames, num_mels]`, of the converter's dtype. Outside a graph, a clip
            of any length is computed in bounded memory, where neither `max_audio_length` nor padding bounds it.

        Raises:
            TypeError: `audio` is of a dtype that holds no samples.
            ValueError: `audio` has neither one nor two dimensions, is `[num_samples, channels]`, is at another
                sampling rate, or `lengths` do not fit it; and, outside a graph, it holds NaN, infinity, or int64
                numbers beyond 16 bits. Inside one, NaN and infinity come out as NaN: `log_mel_map` checks.
            RuntimeError: this process was forked after a converter ran: TensorFlow would hang.
        """
        refuse_after_fork()
        checks = [] if sampling_rate is None else checks_of_rate(sampling_rate, self.front_end)
        audio, lengths = dense_audio(audio, lengths, self.front_end, self.precision)
        if tf.executing_eagerly():
            return self._features_now(audio, lengths)
        with tf.control_dependencies([check for check in checks if check is not None]):
            return self._features_in_graph(tf.convert_to_tensor(audio), lengths)

    def _features_now(self, audio: np.ndarray | tf.Tensor, lengths: tf.Tensor | None) -> tf.Tensor:
        """`__call__` outside a graph, on one clip or a batch of any length."""
        if block_kernel.on_gpu() and audio.shape[-1] <= _SAMPLES_AT_ONCE:
            return self._on_gpu(tf.convert_to_tensor(audio), lengths)
        if isinstance(audio, np.ndarray):
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
        return features if self.dtype == features.dtype.name else tf.cast(features, self.dtype)

    @functools.cached_property
    def _packed(self) -> PackedFeatures:
        return PackedFeatures(self.front_end, self.precision, pad_to_max_length=self.pad_to_max_length)

    def __getstate__(self) -> dict[str, Any]:
        """All but what is made at the first call: a graph that was built for a GPU does not pickle."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_packed", "_on_gpu")}

    @functools.cached_property
    def _on_gpu(self) -> Any:
        return tf.function(self._features_in_graph, autograph=False, reduce_retracing=True)

    def _features_in_graph(self, audio: tf.Tensor, lengths: tf.Tensor | None) -> tf.Tensor:
        """`__call__` as operations of a graph, the frame count static where it can be."""
        waveform = log_mel.to_waveform(audio, log_mel.exact_dtype(audio.dtype, self.precision))
        is_one_clip = waveform.shape.rank == 1
        if is_one_clip:
            waveform = waveform[tf.newaxis]
        elif lengths is not None:
            waveform = silence_behind(waveform, lengths)
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

    def features_of_file(self, path: str | Path) -> tf.Tensor:
        """Features of an audio file, decoded, mixed down and resampled as the job does.

        Samples beyond `max_audio_length` are cut off.

        Returns:
            `[frames, num_mels]`, as `__call__` gives them for the file's samples.

        Raises:
            OSError: the file cannot be read.
            ValueError: it cannot be decoded, as the job would say it.
        """
        try:
            audio = decode_audio(Path(path).read_bytes(), sampling_rate=self.front_end.sampling_rate)
        except Reject as reject:
            raise ValueError(f"{path}: {reject}") from reject
        return self(audio.samples)

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
        """Which frames are valid: integers `[batch]` (valid samples) to bool `[batch, num_frames]`.

        Raises:
            ValueError: `lengths` are no integers, or, outside a graph, one is negative; or `num_frames` is no
                number of frames.
        """
        lengths = tf.cast(whole_lengths(lengths), tf.int64)
        if tf.executing_eagerly() and tf.size(lengths) and tf.reduce_min(lengths) < 0:
            raise ValueError(f"lengths must be at least 0, got {int(tf.reduce_min(lengths))}")
        if not tf.is_tensor(num_frames):
            check_integer("num_frames", num_frames, at_least=0)
        return tf.sequence_mask(log_mel.num_frames(lengths, self.front_end), num_frames)

    def export(self, folder: str | Path, *, xla: bool = False, from_bytes: bool = False) -> None:
        """Writes a SavedModel that needs no melbeam: `exporting.export_saved_model`."""
        export_saved_model(self, self.front_end, folder, xla=xla, from_bytes=from_bytes)

    def export_tflite(self, path: str | Path) -> None:
        """Writes a TFLite model of built-in operations, float32: `exporting.export_tflite`."""
        export_tflite(self.front_end, path, pad_to_max_length=self.pad_to_max_length)
