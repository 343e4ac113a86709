"""Clips of any lengths, packed into few calls of the kernel: NumPy in, NumPy or a tensor out.

    rows of a call   [ clip 0, from its first row to its last | clip 1 | ... | the first rows of a long clip ]

Padding and reflection are written with the samples; a frame that begins in one clip's last rows and ends in the
next clip is computed in vain. Frames that hear nothing but the silence behind a clip are all the same one, so
they are not computed. What a front end does to whole clips (Whisper's clamp) is done to what comes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from melbeam.transforms import log_mel
from melbeam.transforms.audio_inputs import refuse_after_fork
from melbeam.transforms.block_kernel import aligned_empty, as_tensor, frame_kernel
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.precision import Precision


class PackedFeatures:
    """Features of many clips at a time, for little more than the kernel's own time.

    A call of the kernel costs 0.1 to 0.3 ms before its first frame, so clips are laid one behind the other into
    calls of `seconds_at_once` of audio. A clip's features have the same bits as alone (`AudioConverter` called
    on it) where the blocks run, and agree to 1e-6 elsewhere. Clips do not touch each other: what is not finite
    in one stays in it.

        packed = PackedFeatures(FrontEnd.load("gemma4"), "float64")
        for features in packed([clip, another, ...]):  # each float32 [frames, num_mels]
            ...

    One object may be called from several threads at a time. It pickles to its arguments, and its program is
    compiled once a process, however many objects there are.

    Args:
        front_end: of the features.
        precision: of window, FFT and spectrum.
        pad_to_max_length: True gives every clip the frames of `max_audio_length`; False its `num_frames`.

    Raises:
        ValueError: `pad_to_max_length` with a front end that has no `max_audio_length`.
    """

    def __init__(
        self, front_end: FrontEnd, precision: Precision = "float64", *, pad_to_max_length: bool = False
    ) -> None:
        self.front_end = front_end
        self.precision: Precision = precision
        self.pad_to_max_length = pad_to_max_length
        self._padded_frames = front_end.padded_frames if pad_to_max_length else None
        self._kernel = frame_kernel(front_end, precision)
        self._needs_whole_clip = log_mel.needs_whole_clip(front_end)

    @property
    def seconds_at_once(self) -> float:
        """Seconds of audio that one call of the kernel takes: give so much, or more, in one call of this object.

        Much more gains nothing, and all of a call's features are held until it returns.
        """
        return self._kernel.frames_at_once * self.front_end.hop_length / self.front_end.sampling_rate

    def __call__(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The features of each clip, in order.

        Args:
            clips: each `[num_samples]`, of any length from 0 on, at the front end's sampling rate: floating
                point in [-1, 1), or integers, which are scaled as `log_mel.to_waveform` says. Samples beyond
                `max_audio_length` are cut off.

        Returns:
            float32 `[frames, num_mels]` each. They may be read-only views of memory that they share, which lives
            as long as any of them: copy what you keep for long.

        Raises:
            TypeError: a clip's dtype holds no samples.
            ValueError: a clip has not one dimension.
            RuntimeError: this process was forked after a converter ran: TensorFlow would hang.
        """
        refuse_after_fork()
        works = [self._work(clip) for clip in clips]
        self._compute(works, is_of_many=True)
        return [self._finished(work) for work in works]

    def of_clip(self, clip: np.ndarray) -> tf.Tensor:
        """The features of one clip as a tensor, `[frames, num_mels]`; else as `__call__`."""
        refuse_after_fork()
        work = self._work(clip)
        if work.is_simple and 0 < work.frames <= self._kernel.frames_at_once:
            computed = self._call([_Piece(work, 0, work.frames, 0)])
            if 2 * work.frames >= self._kernel.holds(work.frames):
                return as_tensor(computed)  # in the kernel's own memory, which has not much more in it
            features = aligned_empty((work.frames, self.front_end.num_mels))
            features[:] = computed
            return as_tensor(features)
        return self._of_works([work], (work.frames, self.front_end.num_mels))

    def of_batch(self, rows: np.ndarray, lengths: Iterable[int]) -> tf.Tensor:
        """The features of a batch as a tensor; beyond samples and features, memory stays bounded.

        Args:
            rows: `[batch, num_samples]`, samples as `__call__` takes them.
            lengths: valid samples of each row; what lies behind is taken as silence.

        Returns:
            float32 `[batch, frames, num_mels]`, the frames being those of `num_samples`.

        Raises:
            TypeError: the dtype of `rows` holds no samples.
            RuntimeError: as `__call__` says.
        """
        refuse_after_fork()
        frames = self._num_frames(rows.shape[1])
        works = [self._work(row[:length], frames) for row, length in zip(rows, lengths, strict=True)]
        return self._of_works(works, (len(works), frames, self.front_end.num_mels))

    def _of_works(self, works: list[_Work], shape: tuple[int, ...]) -> tf.Tensor:
        """The features of clips that have equally many frames, as one tensor of that shape."""
        if 0 in shape:
            return tf.zeros(shape)
        features = aligned_empty(shape)
        for work, out in zip(works, features.reshape(len(works), *shape[-2:]), strict=True):
            work.out = out
        self._compute(works)
        for work in works:
            self._finished(work)
        return as_tensor(features)

    def __reduce__(self) -> tuple[Any, ...]:
        return _packed_features, (self.front_end, self.precision, self.pad_to_max_length)

    def _num_frames(self, num_samples: int) -> int:
        return self.front_end.num_frames(num_samples) if self._padded_frames is None else self._padded_frames

    def _work(self, clip: Any, frames: int | None = None) -> _Work:
        """What is to be done for a clip that gives so many frames; None for those of its samples."""
        samples, front_end = np.asarray(clip), self.front_end
        if samples.ndim != 1:
            raise ValueError(f"a clip must be [num_samples], got shape {samples.shape}")
        scale = 1 / log_mel.full_scale(samples.dtype)
        if front_end.max_samples is not None:
            samples = samples[: front_end.max_samples]
        if frames is None:
            frames = self._num_frames(len(samples))
        # The frames that begin before the last sample, and those that hear the end of the longest clip reflected.
        left, longest = front_end.left_padding, front_end.max_samples
        heard = -(-(left + len(samples)) // front_end.hop_length) if len(samples) else 0
        if front_end.padding == "center" and longest is not None and len(samples) >= longest - left:
            heard = max(heard, front_end.padded_frames)
        computed = min(heard, log_mel.num_computed_frames(frames, front_end))
        is_simple = computed == frames and not self._needs_whole_clip
        dtype = log_mel.exact_dtype(samples.dtype, self.precision)
        return _Work(samples, scale, dtype, front_end, frames, computed, is_simple)

    def _compute(self, works: list[_Work], *, is_of_many: bool = False) -> None:
        """Computes all frames that are to be computed, call by call."""
        for pieces in self._calls(works):
            computed = self._call(pieces, is_of_many=is_of_many)
            for piece in pieces:
                found = computed[piece.start : piece.start + piece.frames]
                if piece.work.out is None or self._needs_whole_clip:
                    piece.work.found.append(found)
                else:
                    piece.work.out[piece.first : piece.first + piece.frames] = found

    def _calls(self, works: list[_Work]) -> Iterator[list[_Piece]]:
        """The pieces of each call, in order. A clip that fits into a call is not cut, which would cost a copy."""
        most, below = self._kernel.frames_at_once, self._kernel.rows_below
        pieces: list[_Piece] = []
        start = 0
        for work in works:
            first = 0
            while first < work.computed:
                if pieces and most - start < min(work.computed - first, most):
                    yield pieces
                    pieces, start = [], 0
                frames = min(work.computed - first, most - start)
                pieces.append(_Piece(work, first, frames, start))
                first += frames
                start += frames + below
        if pieces:
            yield pieces

    def _call(self, pieces: list[_Piece], *, is_of_many: bool = False) -> np.ndarray:
        below, hop = self._kernel.rows_below, self.front_end.hop_length
        dtype = "float32" if all(piece.work.dtype == "float32" for piece in pieces) else self.precision
        with self._kernel.buffer(dtype) as rows:
            for piece in pieces:
                part = rows[piece.start : piece.start + piece.frames + below]
                piece.work.write(part.reshape(-1), piece.first * hop)
            frames = pieces[-1].start + pieces[-1].frames
            return self._kernel.compute(rows, frames, is_of_many=is_of_many)

    def _finished(self, work: _Work) -> np.ndarray:
        """The features of a clip whose frames are computed, `[frames, num_mels]`; in its `out`, if it has one."""
        if work.out is not None and not self._needs_whole_clip:
            work.out[work.computed :] = self._kernel.silent_frame
            return work.out
        found = work.found[0] if len(work.found) == 1 else np.concatenate([self._none, *work.found])
        if work.is_simple:
            return found
        silent = self._kernel.silent_frame
        if self._needs_whole_clip:
            loudest = np.maximum(silent.max(), found.max(initial=-np.inf))
            found, silent = self._clamped(found[: work.frames], loudest), self._clamped(silent, loudest)
        out = np.empty((work.frames, self.front_end.num_mels), np.float32) if work.out is None else work.out
        out[: len(found)] = found
        out[len(found) :] = silent
        return out

    @property
    def _none(self) -> np.ndarray:
        return np.zeros((0, self.front_end.num_mels), np.float32)

    def _clamped(self, log_mels: np.ndarray, loudest: np.float32) -> np.ndarray:
        """`log_mel.clamp` and `log_mel.normalise`, operation by operation, so that the bits are theirs."""
        raised: np.ndarray = np.maximum(log_mels, np.float32(loudest) - np.float32(8))
        raised += np.float32(4)
        raised /= np.float32(4)
        if self.front_end.per_bin_mean is not None:
            raised -= np.asarray(self.front_end.per_bin_mean, np.float32)
        if self.front_end.per_bin_stddev is not None:
            raised /= np.asarray(self.front_end.per_bin_stddev, np.float32)
        return raised


def _packed_features(front_end: FrontEnd, precision: Precision, pad_to_max_length: bool) -> PackedFeatures:
    return PackedFeatures(front_end, precision, pad_to_max_length=pad_to_max_length)


@dataclass(eq=False)
class _Work:
    """A clip on its way.

    Attributes:
        samples: `[num_samples]`, of their own dtype.
        scale: what makes floating point in [-1, 1) of them.
        dtype: in which they are given to the kernel, so that no digit is lost.
        front_end: which says how they are padded.
        frames: rows of the result.
        computed: frames to compute, from the first on; other rows of the result hear silence.
        is_simple: whether the computed frames are the result.
        out: where the result is wanted, `[frames, num_mels]`, or None.
        found: the computed frames, in pieces, where they were not written to `out`.
    """

    samples: np.ndarray
    scale: float
    dtype: Precision
    front_end: FrontEnd
    frames: int
    computed: int
    is_simple: bool
    out: np.ndarray | None = None
    found: list[np.ndarray] = field(default_factory=list)

    def write(self, out: np.ndarray, start: int) -> None:
        """Writes the padded samples from the `start`-th on, as `log_mel.pad` gives them, to all of `[n]`."""
        front_end, num_samples = self.front_end, len(self.samples)
        first = start - front_end.left_padding  # the sample that `out` begins with; negative ones lie in front
        begin, end = max(first, 0), min(num_samples, first + len(out))
        if begin < end:
            self._copy(out[begin - first : end - first], begin, end)
        out[max(0, end - first) :] = 0
        if first < 0:
            front = out[:-first]
            front[:] = 0
            if front_end.padding == "center":
                end = min(1 - first, num_samples)
                begin = max(1, 1 - first - len(front))
                if begin < end:
                    self._copy(front[1 - first - end : 1 - first - begin][::-1], begin, end)
        longest = front_end.max_samples
        if front_end.padding == "center" and longest is not None and first + len(out) > longest:
            # The sample `longest - 1` is the mirror: `longest - 2` comes behind it, and so on.
            behind = max(first, longest)
            begin = max(0, 2 * (longest - 1) - (first + len(out) - 1))
            end = min(2 * (longest - 1) - behind + 1, num_samples)
            if begin < end:
                mirrored = 2 * (longest - 1) - first
                self._copy(out[mirrored - end + 1 : mirrored - begin + 1][::-1], begin, end)

    def _copy(self, out: np.ndarray, begin: int, end: int) -> None:
        samples = self.samples[begin:end]
        if self.scale == 1:
            with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, as tf.cast makes it
                out[:] = samples
        else:
            np.multiply(samples, out.dtype.type(self.scale), out=out, dtype=out.dtype, casting="unsafe")


@dataclass(eq=False)
class _Piece:
    """Frames `first` to `first + frames` of a clip, which a call computes as its frames from `start` on."""

    work: _Work
    first: int
    frames: int
    start: int
