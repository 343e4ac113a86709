"""Audio bytes or samples in, mono float32 at the front end's rate out."""

from __future__ import annotations

import io
import math
import struct
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

from melbeam.transforms.records.rejects import Reject

# Outside these a header is taken to lie.
MIN_RATE, MAX_RATE = 1000, 768_000  # Hz
MAX_CHANNELS = 64
# Decoded at a time, over all channels; libsndfile zeroes what a file does not fill, so a large one is slow.
_BLOCK_VALUES = 1 << 16
_FULL_SCALE = 2.0**15  # of 16-bit samples
# Writers to a pipe cannot go back, and leave a data size near a bound of 31 or 32 bits, meaning "until the end":
# ffmpeg 0xFFFFFFFF, espeak-ng 0x7FFFF000, sox 0x7FFFFFFF less its header. No tf.train.Example holds 2 GiB.
_MIN_STREAMING_SIZE = 0x7FFF0000
_UNKNOWN_FRAMES = 2**63 - 1  # libsndfile's, of a FLAC written to a pipe
_EXACT_HEADERS = ("WAV", "WAVEX", "RF64", "FLAC")  # their headers' number of frames is no estimate
_RESAMPLING_QUALITY = "HQ"  # soxr's 20-bit quality
_PLAIN_WAV = struct.Struct("<4sI4s 4sIHHIIHH 4sI")  # RIFF, fmt and data, one behind the other


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


class _Bytes(io.BytesIO):
    """A file that stays where it is when a lying header asks for a place before its beginning.

    The error would not reach libsndfile, which looks at the place that it gets, but be printed for every record.
    """

    def seek(self, offset: int, whence: int = 0, /) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:
            return self.tell()


class _ForwardFile(soundfile.SoundFile):
    """Read once, front to back: soundfile seeks after each block where it may, which a piped FLAC refuses."""

    def seekable(self) -> bool:
        return False


def decode_audio(
    data: bytes,
    *,
    sampling_rate: int,
    declared_rate: int | None = None,
    max_seconds: float | None = None,
) -> Audio:
    """Decodes WAV, FLAC, MP3, Ogg Vorbis or Opus by their own headers; channels are averaged.

    A file that was cut short is a reject wherever its bytes show it: a WAV's or FLAC's header, an Ogg page, an
    MP3's Xing header. An Ogg cut between two pages and an MP3 without that header are read as far as they go.

    Args:
        data: a whole file.
        sampling_rate: Hz of the samples that come out; soxr resamples where the source differs.
        declared_rate: Hz that the record names, or None.
        max_seconds: a longer clip is a reject; decoding stops there, whatever the header says.

    Raises:
        Reject: bad_audio, empty_audio, not_finite, rate_mismatch or over_limit.
    """
    plain_rate = _rate_of_plain_wav(data)
    if plain_rate is not None:
        _check_declared_rate(declared_rate, plain_rate)
        pcm = memoryview(data)[_PLAIN_WAV.size :]
        return decode_pcm_s16le(pcm, source_rate=plain_rate, sampling_rate=sampling_rate, max_seconds=max_seconds)
    _check_wav_is_whole(data)
    _check_ogg_is_whole(data)
    try:
        with _ForwardFile(_Bytes(data)) as file:
            rate, channels, promised, kind = file.samplerate, file.channels, file.frames, file.format
            _check_rate(rate)
            if channels > MAX_CHANNELS:
                raise Reject("bad_audio", f"{channels} channels, more than {MAX_CHANNELS}")
            _check_declared_rate(declared_rate, rate)
            longest = math.inf if max_seconds is None else max_seconds * rate
            if kind in _EXACT_HEADERS and longest < promised != _UNKNOWN_FRAMES:
                raise _over_limit(promised / rate, max_seconds)
            blocks: list[np.ndarray] = []
            decoded = 0
            while True:
                block = file.read(max(1, _BLOCK_VALUES // channels), dtype="float32", always_2d=True)
                if not len(block):
                    break
                decoded += len(block)
                if decoded > longest:
                    raise _over_limit(decoded / rate, max_seconds)
                blocks.append(_mix_down(block))
    except (soundfile.SoundFileError, RuntimeError, OSError, ValueError, TypeError, OverflowError) as error:
        # Not str(error): it holds the address of our buffer, and the same input must give the same bytes.
        reason = getattr(error, "error_string", None) or type(error).__name__
        raise Reject("bad_audio", f"{len(data)} bytes that cannot be decoded: {reason}") from error
    is_cut_flac = kind == "FLAC" and decoded != promised != _UNKNOWN_FRAMES
    if is_cut_flac or (kind == "MP3" and decoded < promised and _has_xing_header(data)):
        raise Reject("bad_audio", f"a cut {kind}: it promises {promised} samples a channel, {decoded} are there")
    samples = blocks[0] if len(blocks) == 1 else np.concatenate([*blocks, np.zeros(0, np.float32)])
    return _finish(samples, rate, sampling_rate, mixed_down=channels > 1)


def decode_pcm_s16le(
    data: bytes | memoryview, *, source_rate: int, sampling_rate: int, max_seconds: float | None = None
) -> Audio:
    """Raw little-endian 16-bit mono samples, scaled by 1 / 32768.

    Raises:
        Reject: bad_audio, empty_audio or over_limit.
    """
    if len(data) % 2:
        raise Reject("bad_audio", f"{len(data)} bytes, an odd number, are no 16-bit samples")
    samples = np.frombuffer(data, "<i2").astype(np.float32)
    samples /= np.float32(_FULL_SCALE)
    return _from_floats(samples, source_rate, sampling_rate, max_seconds)


def from_samples(
    samples: np.ndarray,
    *,
    source_rate: int,
    sampling_rate: int,
    max_seconds: float | None = None,
    integer_bits: int = 16,
) -> Audio:
    """Mono samples as TFDS stores them: integers are scaled by their full scale; floats are taken as they are.

    Args:
        samples: `[num_samples]`, integers or floats.
        source_rate: Hz of the samples.
        sampling_rate: Hz of the samples that come out.
        max_seconds: a longer clip is a reject.
        integer_bits: of integer samples, whatever type holds them; 16 bits are scaled by 1 / 32768.

    Raises:
        Reject: bad_audio (an integer outside its bits), empty_audio, not_finite or over_limit.
    """
    if np.issubdtype(samples.dtype, np.integer):
        full_scale = 2 ** (integer_bits - 1)
        if len(samples) and (samples.min() < -full_scale or samples.max() >= full_scale):
            bounds, found = f"{-full_scale} to {full_scale - 1}", f"{samples.min()} to {samples.max()}"
            raise Reject("bad_audio", f"integer samples must be {integer_bits}-bit, {bounds}, got {found}")
        samples = samples.astype(np.float32) / np.float32(full_scale)
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, and is a reject below
        samples = samples.astype(np.float32)
    return _from_floats(samples, source_rate, sampling_rate, max_seconds)


def _from_floats(samples: np.ndarray, source_rate: int, sampling_rate: int, max_seconds: float | None) -> Audio:
    _check_rate(source_rate)
    if max_seconds is not None and len(samples) > max_seconds * source_rate:
        raise _over_limit(len(samples) / source_rate, max_seconds)
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
        if not np.isfinite(samples).all():  # values near float32's largest
            first = int(np.flatnonzero(~np.isfinite(samples))[0])
            raise Reject("not_finite", f"sample {first} of {len(samples)}, resampled, is {samples[first]}")
    return Audio(samples, rate, rate != sampling_rate, mixed_down)


def _mix_down(block: np.ndarray) -> np.ndarray:
    """float32 `[num_frames, num_channels]` to `[num_frames]`: the mean, taken in float64 and rounded once."""
    if block.shape[1] == 1:
        return block[:, 0]
    return block.mean(axis=1, dtype=np.float64).astype(np.float32)


def _over_limit(seconds: float, max_seconds: float | None) -> Reject:
    return Reject("over_limit", f"at least {seconds:.3f} s, longer than {max_seconds:g} s, the limit for one clip")


def _check_rate(rate: int) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise Reject("bad_audio", f"a sampling rate of {rate} Hz, outside {MIN_RATE} to {MAX_RATE} Hz")


def _check_declared_rate(declared: int | None, rate: int) -> None:
    if declared is not None and declared != rate:
        raise Reject("rate_mismatch", f"the record says {declared} Hz, its audio says {rate} Hz")


def _rate_of_plain_wav(data: bytes) -> int | None:
    """Hz of a WAV of mono 16-bit samples that is whole and has the one header that it can have, else None.

    Most corpora hold nothing else, and libsndfile takes several times longer to give the same samples.
    """
    size = len(data) - _PLAIN_WAV.size
    rate = int.from_bytes(data[24:28], "little")
    if size <= 0 or size % 2 or size >= _MIN_STREAMING_SIZE or not MIN_RATE <= rate <= MAX_RATE:
        return None
    riff, fmt = (b"RIFF", 36 + size, b"WAVE"), (b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return rate if data.startswith(_PLAIN_WAV.pack(*riff, *fmt, b"data", size)) else None


def _check_wav_is_whole(data: bytes) -> None:
    """libsndfile reads a cut WAV without a word; half a clip in silence is what users fear."""
    if data[:4] not in (b"RIFF", b"RIFX", b"RF64") or data[8:12] != b"WAVE":
        return
    order = ">" if data[:4] == b"RIFX" else "<"
    long_size = None  # RF64 keeps the size of its data in a chunk of its own
    position = 12
    while position + 8 <= len(data):
        name, size = struct.unpack_from(f"{order}4sI", data, position)
        if name == b"ds64" and position + 24 <= len(data):
            (long_size,) = struct.unpack_from("<Q", data, position + 16)
        if name == b"data":
            there = len(data) - position - 8
            if size == 0xFFFFFFFF and long_size is not None:
                promised = long_size
            else:
                promised = size if size < _MIN_STREAMING_SIZE else 0
            if promised > there:
                raise Reject("bad_audio", f"a cut WAV: its header promises {promised} bytes, {there} are there")
            return
        position += 8 + size + size % 2


def _check_ogg_is_whole(data: bytes) -> None:
    """libsndfile drops an Ogg page that was cut, and what followed it, without a word."""
    position = 0
    # A page: 27 bytes, the last of them the number of its segments; the segments' sizes; the segments.
    while data[position : position + 4] == b"OggS":
        body = position + 27
        if body <= len(data):
            num_segments = data[body - 1]
            body += num_segments + sum(data[body : body + num_segments])
        if body > len(data):
            raise Reject("bad_audio", f"a cut Ogg: the page at byte {position} ends beyond the {len(data)} bytes")
        position = body


def _has_xing_header(data: bytes) -> bool:
    """Whether an MP3 names its number of frames; without that, libsndfile's number is an estimate."""
    start = 0
    if data[:3] == b"ID3" and len(data) >= 10:
        # The tag's size: four bytes of 7 bits, without the tag's header of 10 bytes.
        start = 10 + sum(byte << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    first_frame = data[start : start + 64]
    position = max(first_frame.find(b"Xing"), first_frame.find(b"Info"))
    flags_and_frames = first_frame[position + 4 : position + 12]
    if position < 0 or len(flags_and_frames) < 8:
        return False
    flags, num_frames = struct.unpack(">II", flags_and_frames)
    return bool(flags & 1) and num_frames > 0
