"""The audio converter: a front end, its TensorFlow graph, and the calling convention of keras-hub's layers."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from melbeam.transforms import log_mel
from melbeam.transforms.audio_inputs import (
    checked_lengths,
    checks_of_rate,
    dense_audio,
    refuse_after_fork,
    silence_behind,
)
from melbeam.transforms.converter_base import ConverterBase
from melbeam.transforms.exporting import export_saved_model, export_tflite
from melbeam.transforms.records.decoding import decode_audio
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.streaming import FeatureStream

# A longer clip is computed in pieces: one graph call takes some 50 bytes of memory a sample and byte of precision.
_SAMPLES_AT_ONCE = 1 << 20


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

    @functools.cached_property
    def _compiled(self) -> Any:
        signature = [tf.TensorSpec([None, None], self.precision)]
        return tf.function(self._features, input_signature=signature, autograph=False)

    @classmethod
    def _class_for(cls, family: str | None) -> type[AudioConverter]:
        """The class of a family's presets; a subclass that somebody else defines is never one."""
        from melbeam.transforms.converters import CONVERTERS  # which are subclasses of this one

        return CONVERTERS.get(family or "", cls) if cls is AudioConverter else cls

    @tf.autograph.experimental.do_not_convert  # it is graph code already
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
        if self._is_long(audio):
            return self._features_of_long(audio, lengths)
        with tf.control_dependencies([check for check in checks if check is not None]):
            waveform = log_mel.to_waveform(tf.convert_to_tensor(audio), self.precision)
        is_one_clip = waveform.shape.rank == 1
        if is_one_clip:
            waveform = waveform[tf.newaxis]
        elif lengths is not None:
            waveform = silence_behind(waveform, lengths)
        width = waveform.shape[1]
        if not self.pad_to_max_length and width is not None and self.num_frames(width) == 0:
            features = tf.zeros([tf.shape(waveform)[0], 0, self.front_end.num_mels], self.dtype)
        else:
            features = self._compiled(waveform) if tf.executing_eagerly() else self._features(waveform)
        return features[0] if is_one_clip else features

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
        features.set_shape([waveform.shape[0], static, self.front_end.num_mels])
        return tf.cast(features, self.dtype)

    def _is_long(self, audio: Any) -> bool:
        """Whether to compute in pieces; Whisper's front ends and padded clips never are."""
        if self.front_end.max_samples is not None or not tf.executing_eagerly():
            return False
        return len(getattr(audio, "shape", ())) in (1, 2) and audio.shape[-1] > 2 * _SAMPLES_AT_ONCE

    def _features_of_long(self, audio: Any, lengths: Any) -> tf.Tensor:
        """`__call__` of long clips: one after the other, in pieces, into memory that becomes the result."""
        rows = audio[np.newaxis] if len(audio.shape) == 1 else audio
        num_samples = rows.shape[1]
        valid = np.full(len(rows), num_samples) if lengths is None else checked_lengths(lengths, rows.shape)
        features = _aligned_empty((len(rows), self.num_frames(num_samples), self.front_end.num_mels))
        for samples, row_valid, row_features in zip(rows, valid, features, strict=True):
            stream, frame = self.stream(), 0
            for start in range(0, num_samples, _SAMPLES_AT_ONCE):
                piece = np.array(samples[start : start + _SAMPLES_AT_ONCE])
                piece[max(0, int(row_valid) - start) :] = 0
                pulled = stream.push(piece)
                row_features[frame : frame + len(pulled)] = pulled
                frame += len(pulled)
            row_features[frame:] = stream.finish()
        result = tf.cast(tf.experimental.dlpack.from_dlpack(features.__dlpack__()), self.dtype)
        return result[0] if len(audio.shape) == 1 else result

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
        """Which frames are valid: integers `[batch]` (valid samples) to bool `[batch, num_frames]`."""
        lengths = tf.cast(tf.convert_to_tensor(lengths), tf.int32)
        return tf.sequence_mask(log_mel.num_frames(lengths, self.front_end), num_frames)

    def export(self, folder: str | Path) -> None:
        """Writes a SavedModel that needs no melbeam: `exporting.export_saved_model`."""
        export_saved_model(self, self.front_end, folder)

    def export_tflite(self, path: str | Path) -> None:
        """Writes a TFLite model of built-in operations, float32: `exporting.export_tflite`."""
        export_tflite(self.front_end, path, pad_to_max_length=self.pad_to_max_length)


def _aligned_empty(shape: tuple[int, ...]) -> np.ndarray:
    """float32 memory that a tensor can take over without a copy: TensorFlow wants it aligned to 64 bytes."""
    buffer = np.empty(math.prod(shape) * 4 + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    return buffer[start : start + math.prod(shape) * 4].view(np.float32).reshape(shape)
