"""WAV and its kin (RIFF, RIFX, RF64, BW64, W64): the size of their data against what is there.

libsndfile reads a cut WAV without a word, takes a data size of 0 for no audio, and decodes block codecs beyond
their data. What is not a header, one data chunk and nothing else is therefore put into a new WAV, with its true
size.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

from melbeam.transforms.records.containers import blocks, mpeg, pcm, tags
from melbeam.transforms.records.containers.blocks import Blocks
from melbeam.transforms.records.containers.chunks import Chunk, Layout
from melbeam.transforms.records.containers.contents import Contents, Part, Tolerance, cut
from melbeam.transforms.records.containers.rates import as_integers, check_rate
from melbeam.transforms.records.rejects import Reject

_MS_ADPCM, _IMA_ADPCM = 2, 0x11  # codecs, as a fmt chunk calls them
_GSM, _NMS, _G721, _MPEG, _MP3, _EXTENSIBLE = 0x31, 0x38, 0x40, 0x50, 0x55, 0xFFFE
_MAX_BEHIND = 1 << 20  # 1 MiB of tags and chunks behind the audio, that are read to judge them
_FORMATS = ("RIFF", "RIFX", "RF64", "BW64")
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_MAX_FACT = 1 << 40  # samples; libsndfile's W64 of MS ADPCM has 2^63 - 1 there
_BITS_FROM_FACT = {(int.from_bytes(b"fact", "big") ^ 1 << bit).to_bytes(4, "big") for bit in range(32)}
# What writers put behind the audio.
_BEHIND = re.compile(rb"LIST|id3 |ID3 |bext|cue |smpl|inst|iXML|axml|_PMX|JUNK|junk|PEAK|afsp|DISP|SAUR|lev[0-9l]")


@dataclass(frozen=True)
class _Format:
    """The content of a fmt chunk."""

    tag: int
    channels: int
    rate: int  # Hz
    bytes_a_second: int
    block_size: int  # bytes, all channels
    bits: int
    samples_a_block: int  # of block codecs, as the chunk says, or 0


@dataclass(frozen=True)
class _Chunks:
    """The chunks of a file up to that of its audio.

    Attributes:
        data: of the audio.
        format: what the fmt chunk says.
        fmt: its content.
        fact: the content of the fact chunk; empty where there is none.
        long_size: of the audio in bytes, as a ds64 chunk says; None where there is none.
        riff_end: where the RIFF chunk ends; None in a W64.
        names: of all of them.
    """

    data: Chunk
    format: _Format
    fmt: bytes
    fact: bytes
    long_size: int | None
    riff_end: int | None
    names: frozenset[bytes]


@dataclass(frozen=True)
class InPlace:
    """Samples of whole bytes as they lie in a WAV.

    Attributes:
        rate: Hz.
        num_samples: a channel.
        start: byte of the first.
        num_bytes: of a sample, all channels.
        fmt: the content of the fmt chunk.
        order: of bytes, as struct names it.
    """

    rate: int
    num_samples: int
    start: int
    num_bytes: int
    fmt: bytes
    order: str

    def wav(self, samples: bytes) -> bytes:
        """Some of the samples as a WAV of their own."""
        return pcm.wav(self.fmt, samples, self.order)


def is_wav(data: bytes, start: int) -> bool:
    """Whether one of these formats begins there."""
    head = data[start : start + 16]
    return (head[:4].decode("latin-1") in _FORMATS and head[8:12] == b"WAVE") or head == _W64_RIFF


def inspect(data: bytes, tolerance: Tolerance) -> Contents:
    """Counts the samples in the data chunk of a WAV.

    Raises:
        Reject: bad_audio.
    """
    front = tags.start_of_content(data)
    if front:
        data = data[front:]
    layout = _layout(data)
    chunks = _read_chunks(data, layout)
    format, data_chunk, riff_end = chunks.format, chunks.data, chunks.riff_end
    there = len(data) - data_chunk.start
    promised = _promised(chunks, there)
    data_chunk = replace(data_chunk, size=promised)
    is_open = promised == 0 and not layout.is_end(data, data_chunk, riff_end)
    if is_open:
        end = _end_of_open(data, data_chunk.start, layout)
        if riff_end is not None and pcm.size_or_open(riff_end - 8, len(data)) and riff_end > len(data):
            raise cut(layout.name, "its RIFF chunk", riff_end, len(data))
    else:
        end = min(data_chunk.end, len(data))
        if promised <= there and not layout.is_end(data, data_chunk, riff_end):
            layout.raise_more_behind(data, data_chunk)
    audio = data[data_chunk.start : end]
    if format.tag in (_MPEG, _MP3):
        return _inspect_mpeg(audio, format, layout, promised if promised > there else 0, tolerance)
    codec = _blocks(format, layout)
    num_samples = codec.count(len(audio))
    missing = codec.count(promised) - num_samples if promised > there else 0
    cut_tolerated = tolerance.allows(missing, format.rate)
    if (missing or codec.num_samples > 1) and promised > there and not cut_tolerated:
        raise cut(layout.name, "its header", promised, there)
    in_fact = _samples_of_fact(chunks.fact, layout)
    if codec.num_samples > 1 and in_fact and promised <= there:
        num_samples = _trimmed_to_fact(num_samples, in_fact, codec, format, layout, is_open=is_open)
    is_plain = front == 0 and layout.kind != "w64" and chunks.names <= {b"fmt ", b"fact", b"PEAK", b"data"}
    if (
        codec.num_samples == 1
        and is_plain
        and promised
        and len(data) - end == promised % 2
        and len(audio) == promised
    ):
        return _contents(layout, format, num_samples, Part(data, num_samples))
    whole, num_decoded = codec.filled(audio)
    if codec.num_samples > 1 and len(whole) % 2:
        # libsndfile takes the byte that makes the chunk even for the beginning of one more block.
        whole, num_decoded = whole + b"\0" * codec.num_bytes, num_decoded + codec.num_samples
    part = Part(pcm.wav(chunks.fmt, whole, layout.order), num_samples, num_decoded - num_samples)
    remark = (
        f"its data chunk says {data_chunk.size} bytes, {there} are there" if is_open or promised > there else ""
    )
    return replace(
        _contents(layout, format, num_samples, part),
        cut_tolerated=cut_tolerated,
        remark=remark,
    )


def samples_in_place(head: bytes, size: int, read: Callable[[int, int], bytes]) -> InPlace | None:
    """Where the samples of a WAV lie in a file, told by a few of its bytes: the header, and what is behind them.

    Args:
        head: the file's first bytes, with its header.
        size: of the file, in bytes.
        read: gives so many bytes of the file from a byte on.

    Returns:
        Where they lie; None where only all of the file's bytes tell, which `inspect` wants: a file that is cut or
        whose size was left open, that has tags in front, of a codec in blocks, or of another format.
    """
    layout = _layout(head)
    if not is_wav(head, 0) or layout.kind == "w64":
        return None
    try:
        chunks = _read_chunks(head, layout)
        codec = _blocks(chunks.format, layout)
    except Reject:  # of what is damaged, or goes on behind these bytes
        return None
    there = size - chunks.data.start
    promised = _promised(chunks, there)
    if not 0 < promised <= there or codec.num_samples != 1:
        return None
    start, end = chunks.data.start, chunks.data.start + promised
    if size - end > _MAX_BEHIND:
        return None
    # The file with so little audio that all of it is at hand: what is behind it is judged as in `inspect`.
    kept = 2 + promised % 2
    small = head[:start] + b"\0" * kept + read(end, size - end)
    audio = replace(chunks.data, size=kept)
    riff_end = None if chunks.riff_end is None else chunks.riff_end - promised + kept
    if not layout.is_end(small, audio, riff_end):
        return None
    return InPlace(chunks.format.rate, codec.count(promised), start, codec.num_bytes, chunks.fmt, layout.order)


def _promised(chunks: _Chunks, there: int) -> int:
    """The bytes of audio that a file says it has, of so many that are there; 0 where that was left open."""
    promised = chunks.data.size
    if promised == 0xFFFFFFFF and chunks.long_size is not None:
        promised = chunks.long_size
    is_open = pcm.size_or_open(promised, there) is None and promised > 0 and chunks.long_size is None
    return 0 if is_open else promised


def _read_chunks(data: bytes, layout: Layout) -> _Chunks:
    """Reads the chunks up to that of the audio.

    Raises:
        Reject: bad_audio, where they are cut or damaged, or there is none of the audio or of its format.
    """
    format: _Format | None = None
    fmt = fact = b""
    long_size = riff_end = None
    data_chunk = None
    names = []
    position = 40 if layout.kind == "w64" else 12
    for chunk in layout.walk(data, position):
        names.append(chunk.name)
        if chunk.name == b"data":
            data_chunk = chunk
            break
        if chunk.end > len(data):
            raise cut(layout.name, f"its {chunk.name.decode()!r} chunk", chunk.size, len(data) - chunk.start)
        content = data[chunk.start : chunk.end]
        if chunk.name == b"ds64" and len(content) >= 16:
            riff_size, long_size = struct.unpack_from("<QQ", content)
            riff_end = riff_size + 8
        elif chunk.name == b"fmt " and format is None:
            fmt, format = content, _read_format(content, layout)
        elif chunk.name == b"fact":
            fact = content
        elif chunk.name in _BITS_FROM_FACT:  # without it, a last block would be taken for full
            raise Reject("bad_audio", f"a damaged {layout.name}: it has a chunk {chunk.name.decode()!r}")
        position = layout.behind(data, chunk)
    if data_chunk is None:
        at = position
        raise Reject(
            "bad_audio", f"a {layout.name} without a data chunk: its chunks end at byte {at} of {len(data)}"
        )
    if format is None:
        raise Reject("bad_audio", f"a {layout.name} whose data chunk has no fmt chunk in front")
    if riff_end is None and layout.kind != "w64":
        riff_end = 8 + struct.unpack_from(f"{layout.order}I", data, 4)[0]
    return _Chunks(data_chunk, format, fmt, fact, long_size, riff_end, frozenset(names))


def _contents(layout: Layout, format: _Format, num_samples: int, part: Part) -> Contents:
    return Contents(layout.name, format.rate, format.channels, num_samples, parts=(part,))


def _layout(data: bytes) -> Layout:
    if data.startswith(_W64_RIFF):
        return Layout("W64", "<", "w64")
    name = data[:4].decode("latin-1")
    return Layout("RF64" if name in ("RF64", "BW64") else "WAV", ">" if name == "RIFX" else "<")


def _read_format(content: bytes, layout: Layout) -> _Format:
    if len(content) < 16:
        raise Reject("bad_audio", f"a {layout.name} whose fmt chunk has {len(content)} bytes, fewer than 16")
    tag, channels, rate, bytes_a_second, block_size, bits = struct.unpack_from(f"{layout.order}HHIIHH", content)
    samples_a_block = 0
    if len(content) >= 20:
        (samples_a_block,) = struct.unpack_from(f"{layout.order}H", content, 18)
    if tag == _EXTENSIBLE and len(content) >= 28:
        (tag,) = struct.unpack_from(f"{layout.order}I", content, 24)  # the first field of a GUID
    return _Format(tag, channels, rate, bytes_a_second, block_size, bits, samples_a_block)


def _blocks(format: _Format, layout: Layout) -> Blocks:
    """The sizes of a codec's blocks.

    Raises:
        Reject: bad_audio, for a codec that libsndfile does not read or a header whose numbers disagree.
    """
    channels, size, bits = format.channels, format.block_size, format.bits
    if not channels:
        raise Reject("bad_audio", f"a {layout.name} of 0 channels")
    found = None
    if format.tag in (pcm.PCM_TAG, pcm.FLOAT_TAG) and bits:
        found = blocks.single_samples((bits + 7) // 8, channels)
    elif format.tag in (pcm.ALAW_TAG, pcm.MULAW_TAG):
        found = blocks.single_samples(1, channels)
    elif format.tag == _IMA_ADPCM and size >= 4 * channels:
        found = blocks.ima_adpcm(size, channels)
    elif format.tag == _MS_ADPCM and size >= 7 * channels:
        found = blocks.ms_adpcm(size, channels)
    elif format.tag == _GSM and channels == 1:
        found = blocks.GSM_WAV
    elif format.tag == _G721 and channels == 1:
        found = blocks.g72x(4)
    elif format.tag == _NMS and channels == 1 and size in (42, 62, 82):
        found = Blocks(size, 160)
    if found is None:
        of = f"{channels} channels, {bits} bits and blocks of {size} bytes"
        advice = "convert it to PCM, for example with ffmpeg -i IN OUT.wav"
        raise Reject("bad_audio", f"a {layout.name} of codec 0x{format.tag:04X} with {of} is not read; {advice}")
    if found.num_samples == 1:
        _check_numbers(format, found, layout)
    elif format.tag in (_IMA_ADPCM, _MS_ADPCM) and format.samples_a_block not in (0, found.num_samples):
        told = f"{format.samples_a_block} samples in blocks of {size} bytes, which hold {found.num_samples}"
        raise Reject("bad_audio", f"a damaged {layout.name}: its fmt chunk says {told}")
    else:  # ffmpeg writes bytes a second of no rate for these, and others round theirs
        _check_rate(format, layout)
    return found


def _check_rate(format: _Format, layout: Layout) -> None:
    encode = as_integers(4, layout.order)
    check_rate(layout.name, format.rate, encode(format.rate), encode)


def _check_numbers(format: _Format, codec: Blocks, layout: Layout) -> None:
    """The numbers of a fmt chunk say a thing more than once; a flipped bit would change the clip's length."""
    wanted = format.rate * format.block_size
    if format.block_size != codec.num_bytes or format.bytes_a_second not in (wanted, 0):
        told = f"{format.channels} channels of {format.bits} bits at {format.rate} Hz"
        found = f"samples of {format.block_size} bytes and {format.bytes_a_second} bytes a second"
        raise Reject("bad_audio", f"a damaged {layout.name}: its fmt chunk says {told}, but {found}")
    if not format.bytes_a_second:
        _check_rate(format, layout)


def _end_of_open(data: bytes, start: int, layout: Layout) -> int:
    """The byte behind audio whose size is not stated: the tags' or that of chunks that go on to the file's end."""
    end = max(start, tags.start_of_tags_behind(data))
    for found in _BEHIND.finditer(data, start, end):
        if layout.kind == "iff" and layout.reaches(data, found.start(), end):
            return found.start()
    return end


def _samples_of_fact(fact: bytes, layout: Layout) -> int:
    if layout.kind == "w64":
        num_samples = struct.unpack_from("<Q", fact)[0] if len(fact) >= 8 else 0
        return num_samples if num_samples < _MAX_FACT else 0
    return struct.unpack_from(f"{layout.order}I", fact)[0] if len(fact) >= 4 else 0


def _trimmed_to_fact(
    num_samples: int, in_fact: int, codec: Blocks, format: _Format, layout: Layout, *, is_open: bool
) -> int:
    """The samples of block codecs, of whose last block fact tells how many are audio."""
    # Some count a sample of each channel.
    for found in (in_fact, in_fact // format.channels if in_fact % format.channels == 0 else 0):
        if num_samples - codec.num_samples < found <= num_samples:
            return found
    # Others round up to the block; libsndfile divides that by the channels, and in a W64 counts anything.
    rounded_up = -(-num_samples // codec.num_samples) * codec.num_samples
    if in_fact in (rounded_up, rounded_up // format.channels) or is_open or layout.kind == "w64":
        return num_samples
    if in_fact > num_samples:
        raise cut(layout.name, "its fact chunk", in_fact, num_samples, "samples a channel")
    told = f"its fact chunk says {in_fact} samples a channel, its blocks hold {num_samples}"
    raise Reject("bad_audio", f"a damaged {layout.name}: {told}")


def _inspect_mpeg(
    audio: bytes, format: _Format, layout: Layout, num_promised: int, tolerance: Tolerance
) -> Contents:
    if num_promised > len(audio) and not tolerance.seconds:
        raise cut(layout.name, "its header", num_promised, len(audio))
    found = mpeg.inspect(audio, tolerance)
    return replace(found, format=f"{found.format} in {layout.name}")
