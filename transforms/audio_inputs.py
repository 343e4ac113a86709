"""What a converter takes as audio: arrays, lists and ragged batches, and the checks of what they hold.

Values are seen outside a graph only; inside one, shapes are checked as far as they are known.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from melbeam.transforms import log_mel
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.precision import Precision
from melbeam.transforms.records.audio_example import SIXTEEN_BITS, array_of
from melbeam.transforms.records.decoding.audio import MAX_PEAK
from melbeam.transforms.records.decoding.raw_samples import name_of_file_in

RANKS = "audio must be [num_samples] or [batch, num_samples]"

_process_of_first_call: int | None = None
_has_warned_of_peak = False


def refuse_after_fork() -> None:
    """Notes the process of the first call, and refuses any other that is a fork of it.

    TensorFlow's threads do not survive a fork: an operation in the child would wait for them for ever.

    Raises:
        RuntimeError: a converter ran in the process that this one was forked from.
    """
    global _process_of_first_call
    process = os.getpid()
    if _process_of_first_call is None:
        _process_of_first_call = process
    elif _process_of_first_call != process:
        raise RuntimeError(
            f"process {process} was forked from process {_process_of_first_call} after a converter ran there: "
            "TensorFlow hangs after such a fork. Start processes by spawn "
            '(multiprocessing.get_context("spawn"), or DataLoader\'s multiprocessing_context="spawn")'
        )


def dense_audio(
    audio: Any, lengths: Any, front_end: FrontEnd, precision: Precision
) -> tuple[np.ndarray | tf.Tensor, tf.Tensor | None]:
    """Audio of any of the kinds that a converter takes as one array, checked.

    Args:
        audio: an array or tensor `[num_samples]` or `[batch, num_samples]`; a list of numbers, one clip; a list
            of clips, whose lengths may differ; a NumPy array of dtype object that holds clips; or a
            `tf.RaggedTensor`, `[batch, None]`.
        lengths: integers `[batch]`, valid samples of each row, or None.
        front_end: whose frames decide which shape holds no clips.
        precision: of the samples where clips of unequal length or type are joined.

    Returns:
        The samples, `[num_samples]` or `[batch, num_samples]`, and the lengths, integers `[batch]`, or None.

    Raises:
        TypeError: `audio` is of a dtype that holds no samples.
        ValueError: `audio` has neither one nor two dimensions, is `[num_samples, channels]`, or holds NaN,
            infinity or int64 numbers beyond 16 bits; or `lengths` do not fit it.
    """
    if isinstance(audio, tf.RaggedTensor):
        if lengths is not None:
            raise ValueError("ragged audio has lengths of its own: pass no others")
        if audio.shape.rank != 2:
            raise ValueError(f"{RANKS}, got ragged audio of shape {tuple(audio.shape)}")
        audio, lengths = audio.to_tensor(), audio.row_lengths()
    elif is_list_of_clips(audio):
        audio, own_lengths = _joined([as_array(clip) for clip in _of_one_type(audio)], precision)
        if own_lengths is not None and lengths is not None:
            raise ValueError("a list of clips of unequal length has lengths of its own: pass no others")
        lengths = lengths if own_lengths is None else own_lengths
    else:
        audio = as_array(audio)
    is_array = isinstance(audio, np.ndarray)  # tf.is_tensor takes as long as a second of audio
    rank = audio.ndim if is_array else audio.shape.rank
    if rank not in (1, 2):
        unknown = "a tensor whose rank the graph does not know: say it, tf.ensure_shape(audio, [None])"
        got = unknown if rank is None else f"shape {tuple(audio.shape)}"
        raise ValueError(f"{RANKS}, got {got}")
    if lengths is not None:
        if rank == 1:
            raise ValueError("lengths belong to a batch, [batch, num_samples]; got one clip with lengths")
        lengths = checked_lengths(lengths, audio.shape)
    elif rank == 2:
        with tf.control_dependencies(_checks_of_channels(audio, front_end)):
            audio = audio if is_array else tf.identity(audio)
    if tf.executing_eagerly():
        samples = audio if is_array else audio.numpy()
        check_samples(samples, lengths=None if lengths is None else lengths.numpy())
    return audio, lengths


def is_list_of_clips(audio: Any) -> bool:
    """Whether audio is a list, a tuple or an object array whose elements are clips, not numbers."""
    is_of_objects = isinstance(audio, np.ndarray) and audio.dtype == object and audio.ndim > 0
    if not isinstance(audio, list | tuple) and not is_of_objects:
        return False
    return len(audio) > 0 and (isinstance(audio[0], list | tuple) or _is_of_some_rank(audio[0]))


def checks_of_rate(sampling_rate: Any, front_end: FrontEnd) -> list[tf.Operation]:
    """Checks that audio is at the front end's rate: now where the rate is known, else by assertions of the graph.

    Raises:
        ValueError: it is at another rate.
    """
    expected = front_end.sampling_rate
    found = tf.get_static_value(sampling_rate) if tf.is_tensor(sampling_rate) else sampling_rate
    if found is None:
        if not (sampling_rate.dtype.is_integer or sampling_rate.dtype.is_floating):
            raise ValueError(f"sampling_rate must be a number of Hz, got a tensor of {sampling_rate.dtype.name}")
        message = f"audio must be at the front end's {expected} Hz: resample it first"
        rate = tf.cast(sampling_rate, tf.float64)  # which has every rate, a fraction of one too
        return [tf.debugging.assert_equal(rate, tf.constant(expected, tf.float64), message)]
    if isinstance(found, str | bytes) or not np.all(np.equal(np.asarray(found), expected)):
        shown = np.asarray(found).tolist()
        raise ValueError(f"audio must be at the front end's {expected} Hz, got {shown!r}: resample it first")
    return []


def silence_behind(waveform: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Zeroes what lies behind each row's valid samples."""
    lengths = tf.cast(lengths, tf.int64)
    rows, width = tf.unstack(tf.shape(waveform, out_type=tf.int64))
    checks = []
    if not tf.executing_eagerly():
        message = "lengths must be from 0 to the samples of a row"
        checks = [
            tf.debugging.assert_equal(tf.size(lengths, tf.int64), rows, "lengths must have a value for each row"),
            tf.debugging.assert_non_negative(lengths, message),
            tf.debugging.assert_less_equal(lengths, width, message),
        ]
    with tf.control_dependencies([check for check in checks if check is not None]):
        valid = tf.sequence_mask(lengths, width)
    valid = tf.reshape(valid, tf.shape(waveform))  # One length for many rows fails where assertions are dropped.
    return tf.where(valid, waveform, tf.zeros_like(waveform))


def checked_lengths(lengths: Any, shape: Any) -> tf.Tensor:
    """The lengths of a batch of that shape, as a tensor; their values are seen outside a graph only.

    Raises:
        ValueError: they are no integers `[batch]`, or beyond the samples of a row.
    """
    lengths = whole_lengths(lengths)
    if lengths.shape.rank != 1:
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


def whole_lengths(lengths: Any) -> tf.Tensor:
    """Lengths as a tensor of integers, of any shape.

    Raises:
        ValueError: they are none.
    """
    if isinstance(lengths, list | tuple) and not lengths:
        return tf.zeros([0], tf.int64)
    try:
        found = tf.convert_to_tensor(lengths)
    except (TypeError, ValueError) as error:
        raise ValueError(f"lengths must be integers [batch], got {lengths!r}") from error
    if not found.dtype.is_integer:
        raise ValueError(f"lengths must be integers [batch], got {found.dtype.name} of shape {tuple(found.shape)}")
    return found


def check_samples(
    samples: np.ndarray, *, lengths: np.ndarray | None = None, first: int = 0, row: int | None = None
) -> None:
    """Refuses what is no sample, and warns once a process of floating point that is far from [-1, 1).

    Args:
        samples: `[num_samples]` or `[batch, num_samples]`, of any dtype.
        lengths: `[batch]`, the samples of each row to look at; None for all.
        first: the place of the first of them in its clip, for messages.
        row: the clip's in its batch, for messages.

    Raises:
        ValueError: a sample is NaN, infinite, or an int64 beyond the 16 bits that it stands for; or 16-bit samples
            are the bytes of a file.
    """
    if lengths is not None:
        for index, (clip, length) in enumerate(zip(samples, lengths, strict=True)):
            check_samples(clip[:length], row=index)
        return
    if samples.dtype.kind == "i" and samples.ndim == 1 and first == 0:
        _refuse_file(samples, row)
    is_floating = np.issubdtype(samples.dtype, np.floating) or samples.dtype.name == "bfloat16"
    is_int64 = samples.dtype.kind == "i" and samples.dtype.itemsize == 8  # in either order of bytes
    if not samples.size or not (is_floating or is_int64):
        return
    with np.errstate(invalid="ignore"):  # NumPy's own warning, where half-precision numbers hold NaN
        least, most = float(samples.min()), float(samples.max())  # NaN is both
    if not is_floating:
        if least < -(2**15) or most >= 2**15:
            raise ValueError(
                f"int64 audio and lists of integers hold 16-bit samples, -32768 to 32767; got {least:.0f} to "
                f"{most:.0f}: scale it to [-1, 1) and pass float32, or pass NumPy int32 at its full scale"
            )
    elif not math.isfinite(least) or not math.isfinite(most):
        place = tuple(np.argwhere(~np.isfinite(samples.astype(np.float64)))[0].tolist())
        row = place[0] if len(place) == 2 else row
        where = "" if row is None else f" of row {row}"
        raise ValueError(
            f"audio must be finite, but sample {first + place[-1]}{where} is {float(samples[place])}: "
            "mend what made it, or leave the clip out"
        )
    elif max(-least, most) > MAX_PEAK:
        _warn_of_peak(max(-least, most))


def _refuse_file(samples: np.ndarray, row: int | None) -> None:
    name = name_of_file_in(samples) if samples.dtype.itemsize in SIXTEEN_BITS else None
    if name is not None:
        where = "" if row is None else f" of row {row}"
        raise ValueError(
            f"audio{where} is the bytes of a file ({name}) in place of its samples: "
            "features_of_file(path) decodes one"
        )


def _warn_of_peak(peak: float) -> None:
    global _has_warned_of_peak
    if not _has_warned_of_peak:
        _has_warned_of_peak = True
        warnings.warn(
            f"floating-point audio is expected in [-1, 1), and this peaks at {peak:.6g}, beyond {MAX_PEAK:g}: "
            "samples of 16 bits are divided by 32768 first. This is said once a process",
            stacklevel=2,
        )


def assert_samples(audio: tf.Tensor, *about: Any) -> list[tf.Operation]:
    """`check_samples` as assertions of a graph, for where they are outside any compiled program, which drops them.

    Where `check_samples` warns of a peak, this fails: a graph has no way to warn, and the job rejects such a clip.

    Args:
        audio: `[num_samples]`, of any dtype.
        *about: what the error names beside the samples' bounds.
    """
    if audio.dtype == tf.int64:
        holds = tf.reduce_all((audio >= -(2**15)) & (audio < 2**15))
        message = "int64 audio must hold 16-bit samples, -32768 to 32767"
    elif audio.dtype.is_floating:
        holds = tf.reduce_all(tf.abs(audio) <= tf.cast(MAX_PEAK, audio.dtype))  # false for NaN
        message = f"audio must be finite and within [-1, 1), up to a peak of {MAX_PEAK:g}"
    else:
        return []
    bounds = ["; its samples are from", tf.reduce_min(audio), "to", tf.reduce_max(audio)]
    return [tf.debugging.Assert(holds, [message, *bounds, *about])]


def _is_of_some_rank(value: Any) -> bool:
    """Whether a value is an array or a tensor with a dimension, or of unknown rank."""
    shape = getattr(value, "shape", ())
    return getattr(shape, "rank", 0) is None or len(shape) > 0


def as_array(audio: Any) -> np.ndarray | tf.Tensor:
    """A tensor as it is, anything else as a NumPy array; integers without a type of their own become int64."""
    is_array = isinstance(audio, np.ndarray)
    if not is_array:
        _refuse_what_holds_no_samples(audio[0] if isinstance(audio, list | tuple) and audio else audio)
    if not is_array and (tf.is_tensor(audio) or isinstance(audio, tf.Variable) or _holds_tensors(audio)):
        return tf.convert_to_tensor(audio)
    try:
        array = array_of(audio)
    except ValueError as error:
        if is_array:
            raise
        # NumPy's: of numbers and lists among each other
        raise ValueError(f"{RANKS}, or a list of clips; got a list that is none of these: {error}") from error
    if isinstance(audio, list | tuple) and len(audio) and type(audio[0]) is int and array.dtype.kind == "i":
        array = array.astype(np.int64)  # before NumPy 2, Windows has 32 bits here
    if array.dtype.kind == "O":
        raise TypeError(
            f"audio must be samples, or a list of clips, got a {type(audio).__name__} of something else: "
            "list(audio) makes a list of clips of a column of them"
        )
    is_longdouble = array.dtype.char == "g" and array.dtype.itemsize > 8
    if is_longdouble or (array.dtype.kind in "SUVM" and array.dtype.name != "bfloat16"):
        raise log_mel.holds_no_samples(array.dtype.name)
    return array


def _refuse_what_holds_no_samples(audio: Any) -> None:
    """Refuses what people pass in place of samples, and says where the samples are.

    Raises:
        TypeError: `audio` is a path, a file's bytes, a record, None, or a placeholder of a Keras model.
    """
    if isinstance(audio, str | os.PathLike):
        what = f"the path {os.fspath(audio)!r}: features_of_file(path) decodes a file"
    elif isinstance(audio, bytes | bytearray):
        what = f"{len(audio)} bytes: features_of_file(path) decodes a file, and read_audio a corpus of them"
    elif isinstance(audio, Mapping):
        names = ", ".join(map(str, audio))
        what = f"a {type(audio).__name__} of {names}: pass its samples, as record['audio']"
    elif audio is None:
        what = "None"
    elif isinstance(audio, tf.SparseTensor):
        what = "a sparse tensor: tf.sparse.to_dense(audio)"
    elif type(audio).__name__ == "KerasTensor":
        what = "a placeholder of a Keras model, which takes layers: those of melbeam.transforms.keras_layers"
    else:
        return
    raise TypeError(f"audio must be samples, [num_samples] or [batch, num_samples], got {what}")


def _of_one_type(clips: Sequence[Any]) -> list[Any]:
    """Clips of which those that are lists of numbers have one type: floating point where any number is."""
    is_untyped = [isinstance(clip, list | tuple) and not _holds_tensors(clip) for clip in clips]
    arrays = [as_array(clip) if untyped else clip for clip, untyped in zip(clips, is_untyped, strict=True)]
    if any(untyped and array.dtype.kind == "f" for array, untyped in zip(arrays, is_untyped, strict=True)):
        return [
            array.astype(np.float64) if untyped else array
            for array, untyped in zip(arrays, is_untyped, strict=True)
        ]
    return arrays


def _holds_tensors(audio: Any) -> bool:
    return isinstance(audio, list | tuple) and len(audio) > 0 and tf.is_tensor(audio[0])


def _joined(
    clips: list[np.ndarray | tf.Tensor], precision: Precision
) -> tuple[np.ndarray | tf.Tensor, tf.Tensor | None]:
    """Clips as one batch, `[batch, num_samples]`, and their lengths where they differ or are not known yet."""
    for clip in clips:
        if len(clip.shape) != 1:
            raise ValueError(f"{RANKS}, or a list of clips [num_samples]; got one of shape {tuple(clip.shape)}")
    is_known = all(clip.shape[0] is not None for clip in clips)
    is_even = is_known and len({clip.shape[0] for clip in clips}) == 1
    if is_even and all(isinstance(clip, np.ndarray) and clip.dtype == clips[0].dtype for clip in clips):
        return np.stack(clips), None
    if tf.executing_eagerly():
        for row, clip in enumerate(clips):
            check_samples(np.asarray(clip), row=row)
    waveforms = [log_mel.to_waveform(tf.convert_to_tensor(clip), precision) for clip in clips]
    if is_even:
        return tf.stack(waveforms), None
    lengths = tf.stack([tf.shape(waveform, out_type=tf.int64)[0] for waveform in waveforms])
    longest = tf.reduce_max(lengths)
    padded = [
        tf.pad(waveform, [[0, longest - length]])
        for waveform, length in zip(waveforms, tf.unstack(lengths), strict=True)
    ]
    return tf.stack(padded), lengths


def _checks_of_channels(audio: np.ndarray | tf.Tensor, front_end: FrontEnd) -> list[tf.Operation]:
    """Refuses `[num_samples, channels]`, as audio readers give it, in place of a batch.

    Returns:
        Assertions of the graph, where the shape is not known yet.

    Raises:
        ValueError: there are more rows than samples in each, and a row is shorter than one frame.
    """
    rows, samples = audio.shape
    frame = front_end.frame_length
    advice = (
        "it looks like [num_samples, channels]: average the channels (audio.mean(axis=1)) or take one "
        "(audio[:, 0]); for a batch of clips as short as these, pass lengths"
    )
    if rows is not None and samples is not None:
        if 0 < samples < min(rows, frame):
            raise ValueError(
                f"audio of shape {(rows, samples)} would be a batch of {rows} clips of {samples} samples, each "
                f"shorter than a frame of {frame}; {advice}"
            )
        return []
    if samples is not None and not 0 < samples < frame:
        return []
    rows, samples = tf.unstack(tf.shape(audio))
    holds = (samples == 0) | (samples >= tf.minimum(rows, frame))
    message = f"audio would be a batch of clips each shorter than a frame of {frame} samples; {advice}"
    return [tf.debugging.Assert(holds, [message, tf.shape(audio)])]
