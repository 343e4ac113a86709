"""Samples without a header: little-endian 16-bit bytes, and lists of integers or floats."""

from __future__ import annotations

import re

import numpy as np

from melbeam.transforms.records.containers import mpeg_frames, name_of_beginning
from melbeam.transforms.records.decoding.audio import (
    BLOCK_VALUES,
    Audio,
    MonoStream,
    check_values,
    no_samples,
)
from melbeam.transforms.records.decoding.media import frames
from melbeam.transforms.records.rejects import Reject

_FULL_SCALE = 2**15  # of 16-bit samples
_MAX_BEGINNING = 8192  # bytes, of which an MP3's longest frame has 1441
_MIN_TEXT = 256  # bytes; as samples they would all be above 8000
_GZIP = re.compile(rb"\x1f\x8b\x08[\0-\x1f]", re.DOTALL)  # RFC 1952, 2.3.1: as a sample -29921
# How a pickle begins: its protocol, then a frame, the name of a class, or an empty list or dictionary.
_PICKLE = re.compile(rb"\x80([\4\5]\x95.{4}\0{4}|[\2\3](c[a-z_]|[\]}]q))", re.DOTALL)
_MAX_DTYPE = 23  # of TensorFlow's numbers for types
_NOT_IN_TEXT = re.compile(rb"[^\t\n\r -~]")


def check_are_16_bit(samples: np.ndarray) -> None:
    """Refuses integer samples, of any shape, that 16 bits do not hold: their scale cannot be told.

    Raises:
        Reject: bad_audio.
    """
    if samples.size and (samples.min() < -_FULL_SCALE or samples.max() >= _FULL_SCALE):
        bounds, found = f"{-_FULL_SCALE} to {_FULL_SCALE - 1}", f"{samples.min()} to {samples.max()}"
        raise Reject("bad_audio", f"integer samples must be 16-bit, {bounds}, got {found}")


def check_is_no_file(data: bytes | memoryview) -> None:
    """Refuses a whole file of audio where raw samples are asked for: its header and its code would be noise.

    Raises:
        Reject: bad_audio.
    """
    name = _name_of_file(bytes(data[:_MAX_BEGINNING]))
    if name is not None:
        raise Reject(
            "bad_audio", f"{len(data)} bytes that begin as a file does ({name}): pass --audio_format=encoded"
        )


def name_of_file_in(samples: np.ndarray) -> str | None:
    """The name of the format of a file whose bytes were taken for samples, whole or two by two; None for samples.

    `np.fromfile("a.wav", np.int16)` gives such, and a list of a file's bytes is another.

    Args:
        samples: `[num_samples]`, integers, or floats of full scale 1.
    """
    head = samples[: _MAX_BEGINNING // 2]
    if head.dtype.kind not in "iu":
        values = head.astype(np.float64) * _FULL_SCALE
        # NaN and what is no multiple of a 16-bit step is no integer.
        if not (values == np.rint(values)).all() or not (np.abs(values) <= _FULL_SCALE).all():
            return None
        head = values.astype(np.int64)
    if not len(head) or head.min() < -_FULL_SCALE or head.max() >= _FULL_SCALE:
        return None
    if name := _name_of_file(head.astype("<i2").tobytes()):
        return name
    if samples.dtype.kind not in "iu" or head.min() < -128 or head.max() > 255:
        return None
    # Bytes, with a sign or without; a quiet clip may be of text's numbers, but not of a format's name.
    if samples.min() < 0 and samples.max() > 127:
        return None
    return _name_of_file(head.astype(np.uint8).tobytes(), is_sure=False)


def _name_of_file(head: bytes, *, is_sure: bool = True) -> str | None:
    """The name of what begins so and is no recording of 16-bit samples.

    Args:
        head: the first bytes.
        is_sure: whether they are known to be bytes; else text and what programs serialise, which small numbers may
            look like, are not asked for.
    """
    behind_zeros = head.lstrip(b"\0")
    name = name_of_beginning(head) or frames.name_of_two(head)
    if name is None and len(behind_zeros) < len(head):
        name = name_of_beginning(behind_zeros)
    if name is None and mpeg_frames.is_cut_from_stream(head):
        name = "MP3"
    if name is None and _GZIP.match(head):
        name = "gzip"
    if name is None and is_sure:
        name = _name_of_serialized(head)
    return name


def _name_of_serialized(head: bytes) -> str | None:
    """The name of text, or of what a program made of its own objects."""
    if len(head) >= _MIN_TEXT and _NOT_IN_TEXT.search(head) is None:
        return "text"
    if _PICKLE.match(head):
        return "pickle"
    return "a tensor of tf.io.serialize_tensor" if _is_tensor(head) else None


def _is_tensor(head: bytes) -> bool:
    """Whether a message begins so that is a tensor: its type, its shape, its content or its texts."""
    if len(head) < 5 or head[0] != 0x08 or not 1 <= head[1] <= _MAX_DTYPE or head[2] != 0x12:
        return False
    shape, rest = head[4 : 4 + head[3]], head[4 + head[3] :]
    return shape[:1] in (b"", b"\x12") and rest[:1] in (b"\x22", b"\x42")


def decode_pcm_s16le(
    data: bytes | memoryview, *, source_rate: int, sampling_rate: int, max_seconds: float | None = None
) -> Audio:
    """Raw little-endian 16-bit mono samples, scaled by 1 / 32768.

    Raises:
        Reject: bad_audio, empty_audio or over_limit.
    """
    check_is_no_file(data)
    if len(data) % 2:
        raise Reject("bad_audio", f"{len(data)} bytes, an odd number, are no 16-bit samples")
    return from_16_bit(
        np.frombuffer(data, "<i2"), source_rate=source_rate, sampling_rate=sampling_rate, max_seconds=max_seconds
    )


def from_samples(
    samples: np.ndarray, *, source_rate: int, sampling_rate: int, max_seconds: float | None = None
) -> Audio:
    """Mono samples as TFDS stores them: integers are scaled by 1 / 32768; floats are taken as they are.

    Args:
        samples: `[num_samples]`, 16-bit integers, whatever type holds them, or floats.
        source_rate: Hz of the samples.
        sampling_rate: Hz of the samples that come out.
        max_seconds: a longer clip is a reject.

    Raises:
        Reject: bad_audio (an integer outside 16 bits), empty_audio, not_finite, out_of_range or over_limit.
    """
    name = name_of_file_in(samples)
    if name is not None:
        raise Reject(
            "bad_audio",
            f"{len(samples)} samples that are the bytes of a file ({name}): store the file as it is, as bytes",
        )
    if np.issubdtype(samples.dtype, np.integer):
        check_are_16_bit(samples)
        scale = np.float32(1 / _FULL_SCALE)
    else:
        if len(samples):
            check_values(samples, 0)
        scale = None
    return _from_mono(samples, scale, source_rate, sampling_rate, max_seconds)


def from_16_bit(
    samples: np.ndarray, *, source_rate: int, sampling_rate: int, max_seconds: float | None = None
) -> Audio:
    """int16 `[num_samples]`, scaled by 1 / 32768.

    Raises:
        Reject: bad_audio (the rate), empty_audio or over_limit.
    """
    return _from_mono(samples, np.float32(1 / _FULL_SCALE), source_rate, sampling_rate, max_seconds)


def _from_mono(
    samples: np.ndarray,
    scale: np.float32 | None,
    source_rate: int,
    sampling_rate: int,
    max_seconds: float | None,
) -> Audio:
    """Samples that are known to be in range; a power of two as scale makes the product exact."""
    stream = MonoStream(source_rate=source_rate, sampling_rate=sampling_rate, max_seconds=max_seconds)
    stream.check_length(len(samples))
    if source_rate == sampling_rate:  # in one piece, which is what most corpora hold
        if not len(samples):
            raise no_samples()
        return Audio(_scaled(samples, scale), source_rate, resampled=False, mixed_down=False)
    for start in range(0, len(samples), BLOCK_VALUES):
        stream.write(_scaled(samples[start : start + BLOCK_VALUES], scale)[:, np.newaxis])
    return stream.audio()


def _scaled(samples: np.ndarray, scale: np.float32 | None) -> np.ndarray:
    floats = samples.astype(np.float32)
    if scale is not None:
        floats *= scale
    return floats
