"""The frames of a front end, computed in fixed blocks by one compiled program: what every path runs.

A block of frames stays in the processor's cache, and since its size never changes, a frame's bits depend neither
on the clip in which it stands, nor on its place there, nor on what else is computed with it. The loop over the
blocks is inside the compiled program, where a turn costs nothing, and takes their number as an argument, so a
program serves clips of any length.

XLA compiles it, at the first call. Where it cannot (TensorFlow 2.16 has no float64 FFT there), and on a GPU, which
wants a whole batch in each operation, the same functions of `log_mel` run as a plain graph: the values agree to
1e-6, their last bits depend on the shape.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from melbeam.transforms import log_mel
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.precision import Precision

# Frames of a block: 64 are as quick as 128 and 256, and leave less to compute in vain behind a clip's end.
_BLOCK_FRAMES = 64
# What a block's frames, or its samples, take at most, so that they and their spectra stay in a cache of 1 MB:
# where frames or hops are long, a block has fewer frames.
_BLOCK_BYTES = 1 << 18
# Blocks of a program: 2.6 to 41 s of Gemma 4. The smaller ones spare a clip the clearing of the largest one's
# output, a fifth of the time of 1 s, and a copy out of memory of which it would need less than half.
_BLOCKS = (4, 8, 16, 32, 64)
# What a program takes at most: where hops are long, it has fewer blocks.
_PROGRAM_SAMPLES = 1 << 20
_FLOAT32 = np.dtype("float32")
# The plain graph's frames a call: its intermediate results then fit a cache of a few MB.
_PLAIN_FRAMES = 1024


_plain_only: contextvars.ContextVar[bool] = contextvars.ContextVar("plain_only", default=False)


@contextlib.contextmanager
def plain_graphs() -> Iterator[None]:
    """Graphs that are built inside are plain: for servers that do not compile."""
    token = _plain_only.set(True)
    try:
        yield
    finally:
        _plain_only.reset(token)


def on_gpu() -> bool:
    """Whether TensorFlow sees a GPU, where it puts what is not put elsewhere."""
    return bool(tf.config.list_logical_devices("GPU"))


def with_gradient_of(
    plain: Callable[[tf.Tensor], tf.Tensor], compute: Callable[[tf.Tensor], tf.Tensor]
) -> Callable[[tf.Tensor], tf.Tensor]:
    """`compute`, differentiated as `plain`, which gives the same to 1e-6: a compiled loop has no gradient."""

    @tf.custom_gradient
    def differentiable(samples: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            with plain_graphs(), tf.GradientTape() as tape:
                tape.watch(samples)
                features = plain(samples)
            return tape.gradient(features, samples, upstream)

        return compute(samples), gradient

    return differentiable


class FrameKernel:
    """The frames of one front end in one precision; safe to share between threads.

    Samples go in as rows of one hop (`log_mel.pad`), the last `rows_below` of which only end frames.

    Attributes:
        frames_at_once: the most frames of one `compute`.
        rows_below: rows that the last frame reaches into, beyond its own.
        is_compiled: whether the blocks run, not the plain graph.
    """

    def __init__(self, front_end: FrontEnd, precision: Precision) -> None:
        self._front_end = front_end
        self._precision: Precision = precision
        self.rows_below = log_mel.rows_below(front_end)
        self.is_compiled = not on_gpu() and xla_transforms(precision)
        of_samples: tuple[Precision, ...] = ("float32",) if precision == "float32" else ("float32", precision)
        # By NumPy's dtype of the samples, whose name alone takes a tenth of a short call.
        self._programs: dict[np.dtype, tuple[_Program, ...]] = {
            np.dtype(dtype): _programs(front_end, precision, dtype) for dtype in of_samples
        }
        self.frames_at_once = self._programs[_FLOAT32][-1].frames if self.is_compiled else _PLAIN_FRAMES
        self._num_samples = (self.frames_at_once + self.rows_below) * front_end.hop_length
        self._buffers: dict[Precision, list[np.ndarray]] = {dtype: [] for dtype in of_samples}

    @contextlib.contextmanager
    def buffer(self, dtype: Precision = "float32") -> Iterator[np.ndarray]:
        """Lends memory for the samples of one `compute`: `[frames_at_once + rows_below, hop_length]`, not cleared.

        It is reused: new memory would cost more than the transform of a short clip. It must not be touched once
        it is given back.

        Args:
            dtype: of the samples, float32 or the kernel's precision: `log_mel.exact_dtype`.
        """
        try:
            buffer = self._buffers[dtype].pop()  # of a list, which threads may share
        except IndexError:
            buffer = aligned_empty((self._num_samples,), dtype)
        try:
            yield buffer.reshape(-1, self._front_end.hop_length)
        finally:
            self._buffers[dtype].append(buffer)

    def compute(self, rows: np.ndarray, frames: int, *, is_of_many: bool = False) -> np.ndarray:
        """The first `frames` frames, from 1 to `frames_at_once`, of the rows in a lent buffer.

        Args:
            rows: of a `buffer`.
            frames: to compute.
            is_of_many: whether it is one of many calls, most of which are full: the largest program then serves
                all. To compile a smaller one takes longer than it spares in a thousand calls.

        Returns:
            float32 `[frames, num_mels]`, read-only, in memory that may be larger (`holds`), and is nobody else's.
        """
        if not self.is_compiled:
            return as_array(self._plain[rows.dtype](as_tensor(rows[: frames + self.rows_below])))
        program = self._programs[rows.dtype][-1] if is_of_many else self._program(frames, rows.dtype)
        return program.first(rows, frames)

    def holds(self, frames: int) -> int:
        """The number of frames that the memory of a result of `compute` has room for."""
        return self._program(frames).frames if self.is_compiled else frames

    def _program(self, frames: int, dtype: np.dtype = _FLOAT32) -> _Program:
        return next(program for program in self._programs[dtype] if frames <= program.frames)

    @functools.cached_property
    def _plain(self) -> dict[np.dtype, Any]:
        """The plain graph, by the samples' dtype."""
        hop = self._front_end.hop_length
        return {
            dtype: tf.function(
                self._plain_features, input_signature=[tf.TensorSpec([None, hop], dtype)], autograph=False
            )
            for dtype in self._programs
        }

    def _plain_features(self, rows: tf.Tensor) -> tf.Tensor:
        return log_mel.features_of_frames(rows, self._front_end, self._precision)

    @functools.cached_property
    def silent_frame(self) -> np.ndarray:
        """What a frame of silence gives, wherever it stands: float32 `[num_mels]`."""
        ready = (program for program in self._programs[_FLOAT32] if program.is_ready)
        with self.buffer() as rows:
            rows[: 1 + self.rows_below] = 0
            program = next(ready, None)  # whatever its size: to compile another is what takes time
            features = self.compute(rows, 1) if program is None else program.first(rows, 1)
            return features[0].copy()

    def of_padded(self, samples: np.ndarray) -> np.ndarray:
        """The whole frames of samples that are padded already: `[num_samples]` to float32 `[frames, num_mels]`."""
        hop, below = self._front_end.hop_length, self.rows_below
        frames = max(0, (len(samples) - self._front_end.frame_span) // hop + 1)
        features = np.empty((frames, self._front_end.num_mels), np.float32)
        for first in range(0, frames, self.frames_at_once):
            count = min(self.frames_at_once, frames - first)
            with self.buffer(log_mel.exact_dtype(samples.dtype, self._precision)) as rows:
                part = samples[first * hop : (first + count + below) * hop]
                flat = rows[: count + below].reshape(-1)
                flat[: len(part)] = part
                flat[len(part) :] = 0
                features[first : first + count] = self.compute(rows, count)
        return features

    def in_graph(self, audio: tf.Tensor, frames: tf.Tensor | int, pad: Callable[..., tf.Tensor]) -> tf.Tensor:
        """Computes features by operations of a graph that is being built.

        Args:
            audio: `[batch, num_samples]`, float32 or of the kernel's precision.
            frames: how many to compute.
            pad: of the audio and a number of rows, at least `frames + rows_below`: `[batch, rows, hop_length]`.

        Returns:
            float32 `[batch, frames, num_mels]`.
        """

        def plain(audio: tf.Tensor) -> tf.Tensor:
            return self._plain_features(pad(audio, frames + self.rows_below))

        if not self.is_compiled or _plain_only.get():
            return plain(audio)
        return with_gradient_of(plain, lambda audio: self._blocks_in_graph(audio, frames, pad))(audio)

    def _blocks_in_graph(
        self, audio: tf.Tensor, frames: tf.Tensor | int, pad: Callable[..., tf.Tensor]
    ) -> tf.Tensor:
        """One clip after the other; the frames that begin in one and end in the next are computed in vain."""
        hop, height = self._front_end.hop_length, frames + self.rows_below
        batch = tf.shape(audio)[0] if audio.shape[0] is None else audio.shape[0]
        is_one_clip = audio.shape[0] == 1
        count = frames if is_one_clip else batch * height

        def rows_for(size: tf.Tensor | int) -> tf.Tensor:
            if is_one_clip:  # which is padded to its place in one go
                return tf.reshape(pad(audio, size), [size, hop])
            return tf.pad(tf.reshape(pad(audio, height), [count, hop]), [[0, size - count], [0, 0]])

        programs = self._programs[np.dtype(audio.dtype.as_numpy_dtype)]
        ways: list[Callable[[], tf.Tensor]] = [
            lambda program=program: program.once(rows_for(program.rows), count)  # type: ignore[misc]
            for program in programs
        ]
        ways.append(lambda: programs[-1].repeatedly(rows_for, count))
        if isinstance(count, int):
            features = ways[sum(count > program.frames for program in programs)]()
        else:
            holds = tf.constant([program.frames for program in programs], count.dtype)
            features = tf.switch_case(tf.reduce_sum(tf.cast(count > holds, tf.int32)), ways)
        if is_one_clip:
            return features[tf.newaxis]
        return tf.reshape(features, [batch, height, self._front_end.num_mels])[:, :frames]


class _Program:
    """One compiled program: so many blocks at most, of samples of one dtype."""

    def __init__(
        self, front_end: FrontEnd, precision: Precision, dtype: Precision, block_frames: int, blocks: int
    ) -> None:
        self._block_frames = block_frames
        self.frames = block_frames * blocks
        below, hop, num_mels = log_mel.rows_below(front_end), front_end.hop_length, front_end.num_mels
        self.rows = self.frames + below
        self.num_samples = self.rows * hop

        def compute(samples: tf.Tensor, num_blocks: tf.Tensor) -> tf.Tensor:
            rows = tf.reshape(samples, [self.rows, hop])

            def turn(index: tf.Tensor, framed: tf.Tensor, done: tf.TensorArray) -> tuple[Any, ...]:
                block = tf.slice(rows, [index * block_frames, 0], [block_frames + below, hop])
                block = tf.cast(block, precision)
                start = 0
                for piece in log_mel.windowed_pieces(block, front_end):
                    end = start + piece.shape[1]
                    framed = tf.raw_ops.TensorStridedSliceUpdate(
                        input=framed, begin=[0, start], end=[block_frames, end], strides=[1, 1], value=piece
                    )
                    start = end
                spectrum = log_mel.spectrum_of_windowed(framed, front_end)
                return index + 1, framed, done.write(index, log_mel.features_of_spectrum(spectrum, front_end))

            # The frames have one place, whose zeros behind the window are written once for all blocks.
            framed = tf.zeros([block_frames, front_end.fft_length], precision)
            done = tf.TensorArray(tf.float32, blocks, element_shape=[block_frames, num_mels])
            state = [tf.constant(0), framed, done]
            *_, done = tf.while_loop(lambda index, *_: index < num_blocks, turn, state, parallel_iterations=1)
            return tf.reshape(done.stack(), [self.frames, num_mels])

        signature = [tf.TensorSpec([self.num_samples], dtype), tf.TensorSpec([], tf.int32)]
        self._function = tf.function(compute, input_signature=signature, autograph=False, jit_compile=True)
        self._hop, self._num_mels = hop, num_mels
        self._counts: dict[int, tf.Tensor] = {}  # kept, since to make one takes a twentieth of a short call

    @property
    def is_ready(self) -> bool:
        """Whether it is compiled, or is about to be."""
        return "_traced" in self.__dict__

    def first(self, rows: np.ndarray, frames: int) -> np.ndarray:
        """The first `frames` frames of the rows in a buffer of at least as many as it takes, as of `compute`."""
        return as_array(self(as_tensor(rows.reshape(-1)[: self.num_samples]), frames))[:frames]

    def __call__(self, samples: tf.Tensor, frames: int) -> tf.Tensor:
        """Outside a graph: its `[num_samples]` to features of which the first `frames` have a meaning."""
        blocks = -(-frames // self._block_frames)
        if blocks not in self._counts:
            self._counts[blocks] = tf.constant(blocks)
        (features,) = self._traced.call_flat(samples, self._counts[blocks])
        return features

    @functools.cached_property
    def _traced(self) -> Any:
        """The program, a `tf.types.experimental.AtomicFunction`; it is compiled when it is called first.

        Nothing is captured, so its two arguments are all that it takes; to have a call's arguments bound to a
        signature and watched by tapes costs as much as a second of audio.
        """
        return self._function.get_concrete_function().inference_fn

    def once(self, rows: tf.Tensor, count: tf.Tensor | int) -> tf.Tensor:
        """Adds one call to a graph: from `[rows, hop_length]` to the first `count` frames."""
        return self._in_graph(rows, count)[:count]

    def repeatedly(self, rows_for: Callable[[tf.Tensor], tf.Tensor], count: tf.Tensor | int) -> tf.Tensor:
        """Adds as many calls to a graph as frames need, of the rows that `rows_for` makes in a given number."""
        calls = -(-count // self.frames)
        rows = rows_for(calls * self.frames + self.rows - self.frames)

        def turn(call: tf.Tensor, done: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            start = call * self.frames
            part = tf.slice(rows, [start, 0], [self.rows, self._hop])
            return call + 1, done.write(call, self._in_graph(part, tf.minimum(count - start, self.frames)))

        done = tf.TensorArray(tf.float32, calls, element_shape=[self.frames, self._num_mels])
        _, done = tf.while_loop(lambda call, _: call < calls, turn, [tf.constant(0), done], parallel_iterations=1)
        return tf.reshape(done.stack(), [calls * self.frames, self._num_mels])[:count]

    def _in_graph(self, rows: tf.Tensor, count: tf.Tensor | int) -> tf.Tensor:
        return self._function(tf.reshape(rows, [self.num_samples]), -(-count // self._block_frames))


def frame_kernel(front_end: FrontEnd, precision: Precision) -> FrameKernel:
    """The kernel of a front end: one a process for all of the same fingerprint, so that it is compiled once."""
    key = front_end.fingerprint, precision
    with _making:
        if key not in _kernels:
            while len(_kernels) >= _KERNELS_KEPT:
                del _kernels[next(iter(_kernels))]
            _kernels[key] = FrameKernel(front_end, precision)
        return _kernels[key]


_KERNELS_KEPT = 32  # the oldest goes first; whoever uses it keeps it
_kernels: dict[tuple[str, str], FrameKernel] = {}
_making = threading.Lock()


def _programs(front_end: FrontEnd, precision: Precision, dtype: Precision) -> tuple[_Program, ...]:
    # A power of two, so that the transform's vector instructions take all frames of a block alike.
    bytes_of_a_frame = max(front_end.fft_length, front_end.hop_length) * tf.as_dtype(precision).size
    fitting = _BLOCK_BYTES // bytes_of_a_frame
    block_frames = min(_BLOCK_FRAMES, 1 << max(0, fitting.bit_length() - 1))
    most = max(1, _PROGRAM_SAMPLES // (block_frames * front_end.hop_length))
    return tuple(_Program(front_end, precision, dtype, block_frames, min(blocks, most)) for blocks in _BLOCKS)


@functools.cache
def xla_transforms(precision: Precision) -> bool:
    """Whether this TensorFlow compiles a Fourier transform of that precision for a CPU: a trial shows it."""
    failed: list[Exception] = []

    def transform() -> None:
        try:
            with tf.device("CPU:0"):
                tf.function(tf.signal.rfft, autograph=False, jit_compile=True)(tf.zeros([1, 4], precision))
        except (tf.errors.OpError, NotImplementedError, ValueError) as error:
            failed.append(error)

    # A thread of its own is in no graph, whatever its caller is building.
    trial = threading.Thread(target=transform)
    trial.start()
    trial.join()
    return not failed


def aligned_empty(shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """Memory that a tensor can take over without a copy: TensorFlow wants it aligned to 64 bytes."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = np.empty(size + 64, np.uint8)
    start = -buffer.__array_interface__["data"][0] % 64  # `ctypes.data` takes as long as a tenth of a short call
    return buffer[start : start + size].view(dtype).reshape(shape)


def as_tensor(array: np.ndarray) -> tf.Tensor:
    """A tensor in the memory of an array that `aligned_empty` or `FrameKernel.compute` gave, as its only user."""
    if not array.flags.writeable:
        array = np.asarray(_Writable(array))
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


class _Writable:
    """Shows a tensor's memory without the mark of NumPy that DLPack has no word for."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array  # which keeps the memory
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def as_array(tensor: tf.Tensor) -> np.ndarray:
    """An array in the memory of a tensor, read-only; a copy where there is none, on a GPU or of bfloat16."""
    try:
        return np.asarray(memoryview(tensor))
    except (TypeError, ValueError, BufferError, tf.errors.OpError):
        return tensor.numpy()
