"""Audio bytes or samples in, mono float32 at the front end's rate out."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

from melbeam.transforms.rejects import Reject

# Outside these a header is taken to lie.
MIN_RATE, MAX_RATE = 1000, 768_000  # Hz
MAX_CHANNELS = 64
_BLOCK_VALUES = 1 << 20  # decoded at a time, over all channels
_FULL_SCALE = 2.0**15  # of 16-bit samples
# RIFF sizes that writers to a pipe leave, since they cannot go back: "until the end".
_STREAMING_SIZES = (0, 0x7FFFFFFF, 0xFFFFFFFF)
_RESAMPLING_QUALITY = "HQ"  # soxr's 20-bit quality


@dataclass(frozen=True)
class Audio:
    """Decoded audio.

    Attributes:
        samples: float32 `[num_samples]`, mono, at the rate that was asked for.
        source_rate: Hz of the source.
        resampled: whether the two rates differ.
        mixed_down: whether the source had more than one channel.
    """

    samples: np.ndarray
    source_rate: int
    resampled: bool
    mixed_down: bool


def decode_audio(
    data: bytes,
    *,
    sampling_rate: int,
    declared_rate: int | None = None,
    max_seconds: float | None = None,
) -> Audio:
    """Decodes WAV, FLAC, MP3, Ogg Vorbis or Opus by their own headers; channels are averaged.

    Args:
        data: a whole file.
        sampling_rate: Hz of the samples that come out; soxr resamples where the source differs.
        declared_rate: Hz that the record names, or None.
        max_seconds: a longer clip is a reject; decoding stops there, whatever the header says.

    Raises:
        Reject: bad_audio, empty_audio, not_finite, rate_mismatch or over_limit.
    """
    _check_wav_is_whole(data)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate, channels, promised, kind = file.samplerate, file.channels, file.frames, file.format
            _check_rate(rate)
            if channels > MAX_CHANNELS:
                raise Reject("bad_audio", f"{channels} channels, more than {MAX_CHANNELS}")
            if declared_rate is not None and declared_rate != rate:
                raise Reject("rate_mismatch", f"the record says {declared_rate} Hz, its audio says {rate} Hz")
            longest = None if max_seconds is None else int(max_seconds * rate)
            blocks: list[np.ndarray] = []
            decoded = 0
            while True:
                block = file.read(max(1, _BLOCK_VALUES // channels), dtype="float32", always_2d=True)
                if not len(block):
                    break
                decoded += len(block)
                if longest is not None and decoded > longest:
                    raise Reject("over_limit", f"longer than {max_seconds:g} s, the limit for one clip")
                blocks.append(block[:, 0] if channels == 1 else block.mean(axis=1, dtype=np.float64))
    except (soundfile.SoundFileError, RuntimeError, OSError, ValueError, TypeError, OverflowError) as error:
        # Not str(error): it holds the address of our buffer, and the same input must give the same bytes.
        reason = getattr(error, "error_string", None) or type(error).__name__
        raise Reject("bad_audio", f"{len(data)} bytes that cannot be decoded: {reason}") from error
    if kind == "FLAC" and decoded != promised:
        raise Reject("bad_audio", f"the header promises {promised} samples a channel, {decoded} are there")
    samples = np.concatenate(blocks).astype(np.float32) if blocks else np.zeros(0, np.float32)
    return _finish(samples, rate, sampling_rate, mixed_down=channels > 1)


def decode_pcm_s16le(
    data: bytes, *, source_rate: int, sampling_rate: int, max_seconds: float | None = None
) -> Audio:
    """Raw little-endian 16-bit mono samples, scaled by 1 / 32768.

    Raises:
        Reject: bad_audio, empty_audio or over_limit.
    """
    if len(data) % 2:
        raise Reject("bad_audio", f"{len(data)} bytes, an odd number, are no 16-bit samples")
    samples = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(_FULL_SCALE)
    return _from_floats(samples, source_rate, sampling_rate, max_seconds)


def from_samples(
    samples: np.ndarray, *, source_rate: int, sampling_rate: int, max_seconds: float | None = None
) -> Audio:
    """Mono samples as TFDS stores them: integers are 16-bit, scaled by 1 / 32768; floats are taken as they are.

    Raises:
        Reject: bad_audio (an integer outside 16 bits), empty_audio, not_finite or over_limit.
    """
    if np.issubdtype(samples.dtype, np.integer):
        if len(samples) and (samples.min() < -_FULL_SCALE or samples.max() >= _FULL_SCALE):
            found = f"{samples.min()} to {samples.max()}"
            raise Reject("bad_audio", f"integer samples must be 16-bit, -32768 to 32767, got {found}")
        samples = samples.astype(np.float32) / np.float32(_FULL_SCALE)
    return _from_floats(samples.astype(np.float32), source_rate, sampling_rate, max_seconds)


def _from_floats(samples: np.ndarray, source_rate: int, sampling_rate: int, max_seconds: float | None) -> Audio:
    _check_rate(source_rate)
    if max_seconds is not None and len(samples) > max_seconds * source_rate:
        seconds = len(samples) / source_rate
        raise Reject("over_limit", f"{seconds:.3f} s, longer than {max_seconds:g} s, the limit for one clip")
    return _finish(samples, source_rate, sampling_rate, mixed_down=False)


def _finish(samples: np.ndarray, rate: int, sampling_rate: int, *, mixed_down: bool) -> Audio:
    if not len(samples):
        raise Reject("empty_audio", "the audio holds no samples")
    if not np.isfinite(samples).all():
        first = int(np.flatnonzero(~np.isfinite(samples))[0])
        raise Reject("not_finite", f"sample {first} of {len(samples)} is {samples[first]}")
    if rate != sampling_rate:
        samples = soxr.resample(samples, rate, sampling_rate, quality=_RESAMPLING_QUALITY).astype(np.float32)
        if not len(samples):
            raise Reject("empty_audio", f"no samples are left at {sampling_rate} Hz")
    return Audio(samples, rate, rate != sampling_rate, mixed_down)


def _check_rate(rate: int) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise Reject("bad_audio", f"a sampling rate of {rate} Hz, outside {MIN_RATE} to {MAX_RATE} Hz")


def _check_wav_is_whole(data: bytes) -> None:
    """libsndfile reads a cut WAV without a word; half a clip in silence is what users fear."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return
    position = 12
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        if name == b"data":
            there = len(data) - position - 8
            if size not in _STREAMING_SIZES and size > there:
                raise Reject("bad_audio", f"a cut WAV: its header promises {size} bytes, {there} are there")
            return
        position += 8 + size + size % 2
