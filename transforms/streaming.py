"""Long audio in bounded memory: samples are pushed, the frames that they complete are pulled."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from melbeam.transforms import log_mel
from melbeam.transforms.audio_inputs import as_array, check_samples, refuse_after_fork
from melbeam.transforms.block_kernel import frame_kernel
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.precision import Precision


class FeatureStream:
    """The features of one clip that arrives in pieces: those that the whole clip would give.

    Memory stays that of a few thousand frames, however long the clip. A clip ends at `max_audio_length`, where
    the front end has one: what is pushed beyond it is dropped, as a converter cuts a longer clip.

        stream = converter.stream()
        for samples in microphone:
            features = stream.push(samples)  # [frames, num_mels], as many as are complete
        features = stream.finish()

    Args:
        front_end: any but one that clamps to the loudest of the whole clip (Whisper's).
        precision: of window, FFT and spectrum.

    Raises:
        ValueError: the front end needs the whole clip.
    """

    def __init__(self, front_end: FrontEnd, precision: Precision = "float64") -> None:
        if log_mel.needs_whole_clip(front_end):
            raise ValueError(
                f"front end {front_end.name!r} cannot be streamed: compression 'log10_clamp' raises each frame to "
                "the loudest of the whole clip less 8, so no frame is known before the last sample"
            )
        self._front_end = front_end
        self._precision: Precision = precision
        self._left = front_end.left_padding
        self._num_samples = 0
        self._frames_given = 0
        # The padded clip from the first sample of the next frame on; None until the clip's start is padded.
        self._pending: np.ndarray | None = None
        # Samples still to come that lie between two frames, where a hop is longer than a frame: none hears them.
        self._gap = 0
        self._start: list[np.ndarray] = []
        self._finished = False
        self._kernel = frame_kernel(front_end, precision)

    def push(self, samples: Any) -> np.ndarray:
        """Takes the next samples.

        Args:
            samples: `[num_samples]`, any number of them, of the dtypes that a converter takes.

        Returns:
            float32 `[frames, num_mels]`: the frames that are complete now, and were not before.

        Raises:
            ValueError: the stream is finished, or `samples` has not one dimension, or holds NaN, infinity, or
                int64 numbers beyond 16 bits.
            TypeError: `samples` is of a dtype that holds no samples.
            RuntimeError: this process was forked after a converter ran: TensorFlow would hang.
        """
        refuse_after_fork()
        if self._finished:
            raise ValueError("the stream is finished: make another one for another clip")
        samples = as_array(samples)
        if len(samples.shape) != 1:
            raise ValueError(f"samples must be [num_samples], got shape {tuple(samples.shape)}")
        check_samples(np.asarray(samples), first=self._num_samples)
        dtype = log_mel.exact_dtype(samples.dtype, self._precision)
        waveform = log_mel.to_waveform(tf.convert_to_tensor(samples), dtype).numpy()
        if self._front_end.max_samples is not None:
            waveform = waveform[: self._front_end.max_samples - self._num_samples]
        self._num_samples += len(waveform)
        self._append(waveform)
        return self._pull(self._front_end.num_frames(self._num_samples))

    def finish(self) -> np.ndarray:
        """Ends the clip.

        Returns:
            float32 `[frames, num_mels]`: its remaining frames.

        Raises:
            ValueError: the stream is finished already.
        """
        refuse_after_fork()
        if self._finished:
            raise ValueError("the stream is finished already")
        self._finished = True
        front_end = self._front_end
        frames = front_end.num_frames(self._num_samples) - self._frames_given
        if self._pending is None:  # a clip shorter than its own reflection, which sees silence behind it
            self._append(np.zeros(self._left + 1, np.float32))
        covered = (frames - 1) * front_end.hop_length + front_end.frame_span
        silence = max(0, covered + self._gap - len(self._pending_samples))
        reflected = 0
        if front_end.padding == "center" and front_end.max_samples is not None:
            # As in `log_mel.pad`: silence up to the longest clip, and that clip's end is reflected.
            start = self._frames_given * front_end.hop_length - self._left
            end = start - self._gap + len(self._pending_samples)
            reflected = max(0, end + silence - front_end.max_samples)
            silence -= reflected
        self._append(np.zeros(silence, np.float32))
        if reflected:
            self._append(self._pending_samples[-1 - reflected : -1][::-1])
        return self._pull(front_end.num_frames(self._num_samples))

    @property
    def _pending_samples(self) -> np.ndarray:
        return np.zeros(0, np.float32) if self._pending is None else self._pending

    def _append(self, waveform: np.ndarray) -> None:
        if self._pending is not None:
            skipped = min(self._gap, len(waveform))
            self._gap -= skipped
            self._pending = np.concatenate([self._pending, waveform[skipped:]])
            return
        if self._front_end.padding != "center":
            self._pending = np.concatenate([np.zeros(self._left, np.float32), waveform])
            return
        self._start.append(waveform)
        start = np.concatenate(self._start)
        if len(start) > self._left:
            self._pending = np.concatenate([start[1 : self._left + 1][::-1], start])
            self._start = []

    def _pull(self, valid: int) -> np.ndarray:
        """The frames that are there, of the first `valid` of the clip."""
        hop, span = self._front_end.hop_length, self._front_end.frame_span
        frames = min(valid - self._frames_given, (len(self._pending_samples) - span) // hop + 1)
        if frames <= 0:
            return np.zeros((0, self._front_end.num_mels), np.float32)
        pulled = self._kernel.of_padded(self._pending_samples[: (frames - 1) * hop + span])
        self._frames_given += frames
        self._gap = max(0, frames * hop - len(self._pending_samples))
        self._pending = self._pending_samples[frames * hop :].copy()
        return pulled
