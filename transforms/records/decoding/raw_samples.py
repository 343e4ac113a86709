"""Samples without a header: little-endian 16-bit bytes, and lists of integers or floats."""

from __future__ import annotations

import numpy as np

from melbeam.transforms.records.containers import name_of_beginning
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
_MAX_BEGINNING = 4096  # bytes; an MP3's longest frame has 1441


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
    head = bytes(data[:_MAX_BEGINNING])
    name = name_of_beginning(head) or frames.name_of_two(head)
    if name is not None:
        raise Reject(
            "bad_audio", f"{len(data)} bytes that begin as a file does ({name}): pass --audio_format=encoded"
        )


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
