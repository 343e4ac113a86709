"""An audio record in one line, from what a program has at hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from melbeam.transforms.records.decoding.raw_samples import name_of_file_in
from melbeam.transforms.records.schema import RESERVED
from melbeam.transforms.records.tf_example import to_example
from melbeam.transforms.records.values import as_feature
from melbeam.transforms.records.wire import Values

# Signed integers of so many bytes are 16-bit samples, whatever holds them; of others the full scale is their own.
SIXTEEN_BITS = (2, 8)


def audio_example(
    audio: Any, *, id: str | bytes | None = None, sampling_rate: int | None = None, **others: Any
) -> bytes:
    """A serialized tf.train.Example that `melbeam extract` and `ExtractLogMel` take.

    Args:
        audio: the bytes of a file (WAV, FLAC, MP3, ...), or samples `[num_samples]` of one channel: an array or a
            list. Floating point is in [-1, 1); int16, int64 and Python's integers are 16-bit samples; int8, uint8
            and int32 arrays have their own full scale; int8 and uint8 that begin as a file does are its bytes.
        id: of the record; without one it is the SHA-256 of the audio.
        sampling_rate: Hz; needed for samples, unless the job names it.
        **others: what is passed through to the features, a transcript as `text` for example: text, bytes, numbers,
            lists of one of them; anything else becomes JSON.

    Raises:
        TypeError: `audio` is neither bytes nor samples.
        ValueError: it is not of one channel, samples are masked, or a name is one that melbeam writes itself.
        Reject: over_limit, a record of 2 GiB or more, which nothing could parse.
    """
    reserved = sorted(set(others) & set(RESERVED))
    if reserved:
        raise ValueError(f"{reserved[0]!r} is a name that melbeam writes itself: choose another")
    fields: dict[str, Values] = {}
    for name, value in {**others, "id": id, "sampling_rate": sampling_rate}.items():
        feature = as_feature(value)
        if feature is not None:
            fields[name] = feature
    if isinstance(audio, bytes | bytearray | memoryview):
        return to_example(fields, None, ("audio", memoryview(audio).cast("B")))
    return to_example({**fields, "audio": _content(audio)})


def refuse_masked(samples: Any) -> None:
    """Refuses samples of NumPy's masked arrays, whose mask any other array forgets.

    Raises:
        ValueError: some are masked.
    """
    num_masked = np.count_nonzero(np.ma.getmaskarray(samples)) if isinstance(samples, np.ma.MaskedArray) else 0
    if num_masked:
        raise ValueError(
            f"audio has {num_masked} masked samples: say what stands in their place, "
            "audio.filled(0), or leave them out, audio.compressed()"
        )


def bytes_or_floats(samples: np.ndarray) -> bytes | np.ndarray:
    """Integers whose full scale is that of their type, as float32 in [-1, 1); or a file, where they are its bytes.

    Args:
        samples: `[num_samples]`; unsigned ones are silent in the middle.
    """
    if samples.dtype.itemsize == 1 and name_of_file_in(samples) is not None:
        return samples.tobytes()
    info = np.iinfo(samples.dtype)
    middle = (info.max + 1) // 2 if info.min == 0 else 0
    return ((samples.astype(np.float64) - middle) / 2.0 ** (info.bits - 1)).astype(np.float32)


def array_of(audio: Any) -> np.ndarray:
    """What holds samples, or clips of them, as a NumPy array: an array of any package, or a list.

    PyTorch's bfloat16, which NumPy does not take, becomes float32.

    Raises:
        TypeError: its package gives no array, as PyTorch's does of a tensor that needs a gradient, which would be
            lost, or that is on a GPU.
        ValueError: samples are masked, or a list is no array.
    """
    refuse_masked(audio)
    try:
        return np.asarray(audio.float() if str(getattr(audio, "dtype", "")) == "torch.bfloat16" else audio)
    except (TypeError, RuntimeError) as error:
        what = f"a {type(audio).__module__.partition('.')[0]} {type(audio).__name__}"
        raise TypeError(f"audio must be samples, got {what}, which gives none here: {error}") from error


def _content(audio: Any) -> bytes | np.ndarray:
    """A file's bytes, or int64 or float32 `[num_samples]`."""
    if isinstance(audio, str) or audio is None:
        raise TypeError(f"audio must be the bytes of a file or samples, got {type(audio).__name__}")
    samples = array_of(audio)
    if samples.ndim != 1:
        raise ValueError(
            f"audio must be [num_samples], of one channel, got shape {samples.shape}: mix it down, or give the "
            "bytes of a WAV or FLAC file"
        )
    if np.issubdtype(samples.dtype, np.floating) or samples.dtype.name == "bfloat16" or not len(samples):
        return samples.astype(np.float32)
    if not np.issubdtype(samples.dtype, np.integer):
        raise TypeError(f"audio must be the bytes of a file or samples, got an array of {samples.dtype}")
    if samples.dtype.kind == "i" and samples.dtype.itemsize in SIXTEEN_BITS:
        return samples.astype(np.int64)
    return bytes_or_floats(samples)
