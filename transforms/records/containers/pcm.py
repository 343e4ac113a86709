"""Samples of whole bytes, from any container: they are put into a plain WAV, which libsndfile reads exactly."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from melbeam.transforms.records.containers import blocks, tags
from melbeam.transforms.records.containers.contents import Contents, Part, Tolerance, cut
from melbeam.transforms.records.rejects import Reject

PCM_TAG, FLOAT_TAG, ALAW_TAG, MULAW_TAG = 1, 3, 6, 7  # of a WAV's fmt chunk
# Writers to a pipe cannot go back, and leave a data size just below a bound of 31, 32, 63 or 64 bits, meaning
# "until the end": ffmpeg all ones, in a W64 the largest signed number, espeak-ng 0x7FFFF000, arecord 0x80000000,
# sox 0x7FFFFFFF less its header and about 0x7F000000 in an AIFF. No tf.train.Example holds 2 GiB, but the bytes of
# a damaged size come to any number, so that only these mean it.
_OPEN_SIZES = (range(0x7EFF0000, 0x7F010000), *(range((1 << n) - 0x10000, (1 << n) + 1) for n in (31, 32, 63, 64)))
_TO_OTHER_SIGN = bytes(byte ^ 0x80 for byte in range(256))
_MAX_JUNK = 2  # bytes behind the audio that some writers leave
_JUNK = b"\0\r\n\x1a"


@dataclass(frozen=True)
class Encoding:
    """How one sample is kept.

    Attributes:
        tag: as a WAV calls it.
        num_bytes: of a sample of one channel.
        order: of its bytes, as struct names it.
        is_signed: whether a sample of one byte is.
    """

    tag: int
    num_bytes: int
    order: str = "<"
    is_signed: bool = True


def integers(num_bytes: int, order: str = "<") -> Encoding:
    """Signed integers."""
    return Encoding(PCM_TAG, num_bytes, order)


def unsigned_bytes() -> Encoding:
    """Integers of 8 bits of which 128 is silence."""
    return Encoding(PCM_TAG, 1, is_signed=False)


def floats(num_bytes: int, order: str = "<") -> Encoding:
    """Floats of 4 or 8 bytes."""
    return Encoding(FLOAT_TAG, num_bytes, order)


ALAW = Encoding(ALAW_TAG, 1)
MULAW = Encoding(MULAW_TAG, 1)


@dataclass(frozen=True)
class Promise:
    """Where a header puts the audio, and how much of it.

    Attributes:
        name: of the format, for people.
        start: byte where the audio begins.
        size: in bytes, or None where the header leaves that open: until the end of the file.
        by: what says so, as the beginning of a clause.
    """

    name: str
    start: int
    size: int | None
    by: str = "its header"


def size_or_open(size: int, there: int) -> int | None:
    """A size as a header names it, or None where it stands for one that was not known when it was written."""
    is_open = (size == 0 and there > 0) or (size > there and any(size in sizes for sizes in _OPEN_SIZES))
    return None if is_open else size


def inspect(
    data: bytes,
    promise: Promise,
    rate: int,
    channels: int,
    encoding: Encoding,
    tolerance: Tolerance,
    *,
    ends: bool = False,
) -> Contents:
    """Holds what a header promises against what is there.

    Args:
        data: a whole file.
        promise: where its audio should be.
        rate: Hz.
        channels: interleaved.
        encoding: of its samples.
        tolerance: how much may be missing.
        ends: whether it is known that what lies behind the audio is none.

    Raises:
        Reject: bad_audio.
    """
    if not channels or not rate:
        raise Reject("bad_audio", f"a damaged {promise.name}: its header says {channels} channels at {rate} Hz")
    codec = blocks.single_samples(encoding.num_bytes, channels)
    # libsndfile's AIFF counts the byte that makes it even; a file of chunks says its number of samples elsewhere.
    if not ends and promise.size is not None and promise.size % codec.num_bytes and not tolerance.seconds:
        told = f"{promise.by} promises {promise.size} bytes, and each sample of all channels has {codec.num_bytes}"
        raise Reject("bad_audio", f"a damaged {promise.name}: {told}")
    there = max(0, len(data) - promise.start)
    cut_tolerated = False
    if promise.size is None:
        size = max(0, tags.start_of_tags_behind(data) - promise.start)
    elif promise.size > there:
        missing = codec.count(promise.size) - codec.count(there)
        cut_tolerated = tolerance.allows(missing, rate)
        if missing and not cut_tolerated:
            raise cut(promise.name, promise.by, promise.size, there)
        size = there
    else:
        size = promise.size
        if not ends:
            check_end(data, promise, promise.start + size, codec.num_bytes)
    num_samples = codec.count(size)
    audio = data[promise.start : promise.start + num_samples * codec.num_bytes]
    part = Part(wav(fmt_of(encoding, rate, channels), _as_in_wav(audio, encoding), encoding.order), num_samples)
    return Contents(promise.name, rate, channels, num_samples, parts=(part,), cut_tolerated=cut_tolerated)


def check_end(data: bytes, promise: Promise, end: int, bytes_a_sample: int) -> None:
    """Nothing but tags lies behind the audio, which a damaged header may say is shorter than it is.

    Args:
        data: a whole file.
        promise: where its audio should be.
        end: the byte behind it.
        bytes_a_sample: of all channels; as many could be one more.

    Raises:
        Reject: bad_audio.
    """
    behind = data[end : tags.start_of_tags_behind(data)]
    is_filled = len(behind) == 1 and (end - promise.start) % 2  # to an even number of bytes
    is_junk = is_filled or len(behind) < min(bytes_a_sample, _MAX_JUNK + 1)
    if (is_junk and not behind.strip(_JUNK)) or is_no_audio(data, end):
        return
    told = f"{promise.by} promises {promise.size} bytes, {len(data) - promise.start} are there"
    raise Reject("bad_audio", f"a damaged {promise.name}: {told}")


def is_no_audio(data: bytes, position: int) -> bool:
    """Whether only tags lie behind a byte."""
    return tags.end_of_tags_in_front(data, position) >= tags.start_of_tags_behind(data)


def _as_in_wav(audio: bytes, encoding: Encoding) -> bytes:
    is_byte = encoding.tag == PCM_TAG and encoding.num_bytes == 1
    return audio.translate(_TO_OTHER_SIGN) if is_byte and encoding.is_signed else audio


def fmt_of(encoding: Encoding, rate: int, channels: int) -> bytes:
    """The content of a WAV's fmt chunk, in the encoding's order of bytes."""
    size = encoding.num_bytes * channels
    bits = 8 * encoding.num_bytes
    if channels > 0xFFFF or size > 0xFFFF or rate * size > 0xFFFFFFFF:
        raise Reject("bad_audio", f"{channels} channels at {rate} Hz, more than a WAV can hold")
    return struct.pack(f"{encoding.order}HHIIHH", encoding.tag, channels, rate, rate * size, size, bits)


def wav(fmt: bytes, audio: bytes, order: str = "<") -> bytes:
    """A WAV of nothing but its format and its data; what was big-endian stays so."""
    return b"".join((wav_header(fmt, len(audio), order), audio, b"\0" * (len(audio) % 2)))


def wav_header(fmt: bytes, num_bytes: int, order: str = "<") -> bytes:
    """What stands in front of so many bytes of audio in a WAV of nothing but its format and its data."""
    name = b"RIFX" if order == ">" else b"RIFF"
    fmt += b"\0" * (len(fmt) % 2)
    size = 4 + 8 + len(fmt) + 8 + num_bytes
    head = struct.pack(f"{order}4sI4s4sI", name, size, b"WAVE", b"fmt ", len(fmt))
    return head + fmt + struct.pack(f"{order}4sI", b"data", num_bytes)
