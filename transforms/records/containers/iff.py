"""AIFF, AIFF-C, Amiga's 8SVX and 16SV, and Apple's CAF: chunks, big-endian, one of which holds the audio."""

from __future__ import annotations

import math
import struct
from dataclasses import replace

from melbeam.transforms.records.containers import blocks, pcm
from melbeam.transforms.records.containers.blocks import Blocks
from melbeam.transforms.records.containers.chunks import Chunk, Layout
from melbeam.transforms.records.containers.contents import Contents, Part, Tolerance, cut
from melbeam.transforms.records.containers.rates import as_integers, check_rate
from melbeam.transforms.records.rejects import Reject

_AIFF_ENCODINGS = {  # of fixed size, whatever COMM says of bits
    b"raw ": pcm.unsigned_bytes(),
    b"fl32": pcm.floats(4, ">"),
    b"FL32": pcm.floats(4, ">"),
    b"fl64": pcm.floats(8, ">"),
    b"FL64": pcm.floats(8, ">"),
    b"ulaw": pcm.MULAW,
    b"ULAW": pcm.MULAW,
    b"alaw": pcm.ALAW,
    b"ALAW": pcm.ALAW,
}
_AIFF_ORDERS = {b"NONE": ">", b"twos": ">", b"in24": ">", b"in32": ">", b"sowt": "<", b"42n1": "<", b"23ni": "<"}
_IMA4_BYTES, _IMA4_SAMPLES = 34, 64  # of a channel's block


def inspect_aiff(data: bytes, tolerance: Tolerance) -> Contents:
    """Counts the samples of an AIFF or AIFF-C, which says how many there are twice: in COMM and by SSND's size.

    Raises:
        Reject: bad_audio.
    """
    layout = Layout("AIFF", ">")
    found = _read_chunks(data, layout, 12, b"SSND")
    audio = found.get(b"SSND")
    comm = found.get(b"COMM")
    if comm is None or comm.size < 18 or audio is None or audio.start + 8 > len(data):
        raise Reject("bad_audio", "an AIFF without a COMM and a SSND chunk")
    channels, num_frames, bits = struct.unpack_from(">HIH", data, comm.start)
    rate = _extended(data[comm.start + 8 : comm.start + 18])
    check_rate(layout.name, rate, data[comm.start + 8 : comm.start + 18], _as_extended)
    codec = data[comm.start + 18 : comm.start + 22] if data[8:12] == b"AIFC" and comm.size >= 22 else b"NONE"
    (offset,) = struct.unpack_from(">I", data, audio.start)
    start = audio.start + 8 + offset
    there = len(data) - start
    size = pcm.size_or_open(max(0, audio.size - 8 - offset), there)
    promise = pcm.Promise(layout.name, start, size, "its SSND chunk")
    if size is not None and audio.end <= len(data):
        _check_end(data, layout, audio)
    encoding = _AIFF_ENCODINGS.get(codec)
    if encoding is None and codec in _AIFF_ORDERS and 0 < bits <= 32:
        encoding = pcm.integers((bits + 7) // 8, _AIFF_ORDERS[codec])
    if encoding is not None:
        if size is None:
            size = pcm.size_or_open(num_frames * channels * encoding.num_bytes, there)
            promise = replace(promise, size=size, by="its COMM chunk")
            if size is not None and size <= there:
                _check_end(data, layout, replace(audio, size=8 + offset + size))
        contents = pcm.inspect(data, promise, rate, channels, encoding, tolerance, ends=True)
        if size is not None and not contents.cut_tolerated:
            _check_comm(num_frames, contents.num_samples)
        return contents
    return _inspect_compressed_aiff(data, promise, rate, channels, codec, num_frames)


def _check_comm(num_frames: int, there: int) -> None:
    if num_frames > there:
        raise cut("AIFF", "its COMM chunk", num_frames, there, "samples a channel")
    if num_frames < there:
        told = f"its COMM chunk promises {num_frames} samples a channel, {there} are there"
        raise Reject("bad_audio", f"a damaged AIFF: {told}")


def _inspect_compressed_aiff(
    data: bytes, promise: pcm.Promise, rate: int, channels: int, codec: bytes, num_frames: int
) -> Contents:
    if not rate or not channels:
        raise Reject("bad_audio", f"a damaged AIFF: its COMM chunk says {channels} channels at {rate} Hz")
    there = len(data) - promise.start
    if promise.size is None or promise.size > there:
        raise cut("AIFF", promise.by, promise.size or there + 1, there)
    if codec == b"DWVW" and channels == 1:  # its samples have no size; a decode must give COMM's number
        return Contents("AIFF", rate, channels, num_frames, parts=(Part(data, num_frames),))
    if codec == b"GSM " and channels == 1:
        sizes = blocks.GSM
    elif codec == b"ima4" and channels in (1, 2):
        sizes = Blocks(_IMA4_BYTES * channels, _IMA4_SAMPLES)
    else:
        told = f"codec {codec.decode('latin-1')!r} of {channels} channels"
        raise Reject(
            "bad_audio", f"an AIFF of {told} is not read; convert it to WAV, as ffmpeg -i IN OUT.wav does"
        )
    num_decoded = sizes.count(promise.size)
    num_samples = num_decoded
    if num_decoded - sizes.num_samples < num_frames <= num_decoded:
        num_samples = num_frames
    elif num_frames not in (num_decoded // sizes.num_samples, num_decoded // sizes.num_samples // channels):
        # Some count the blocks; libsndfile counts half of them where there are two channels.
        _check_comm(num_frames, num_decoded)
    # libsndfile stops at COMM's number for GSM, and gives whole blocks of ima4.
    num_filled = num_decoded - num_samples if codec == b"ima4" else 0
    return Contents("AIFF", rate, channels, num_samples, parts=(Part(data, num_samples, num_filled),))


def _extended(data: bytes) -> int:
    """A number of 80 bits, as Apple's processors had them, to the nearest integer; 0 where it is none."""
    exponent, mantissa = struct.unpack(">HQ", data)
    shift = exponent - 16383 - 63
    return round(math.ldexp(mantissa, shift)) if -64 <= shift <= -33 else 0


def _as_extended(value: int) -> bytes:
    shift = value.bit_length() - 1
    return struct.pack(">HQ", 16383 + shift, value << (63 - shift))


def inspect_svx(data: bytes, tolerance: Tolerance) -> Contents:
    """Counts the samples of an 8SVX or 16SV.

    Raises:
        Reject: bad_audio.
    """
    layout = Layout("SVX", ">")
    found = _read_chunks(data, layout, 12, b"BODY")
    header, body = found.get(b"VHDR"), found.get(b"BODY")
    if header is None or header.size < 20 or body is None:
        raise Reject("bad_audio", "an SVX without a VHDR and a BODY chunk")
    rate, _, compression = struct.unpack_from(">HBB", data, header.start + 12)
    check_rate(layout.name, rate, data[header.start + 12 : header.start + 14], as_integers(2, ">"))
    is_mono = b"CHAN" not in found or data[found[b"CHAN"].start : found[b"CHAN"].end] in (b"\0\0\0\2", b"\0\0\0\4")
    if compression or not is_mono:
        told = f"compression {compression}" if compression else "more channels than one"
        raise Reject("bad_audio", f"an SVX of {told} is not read; convert it to WAV, as ffmpeg -i IN OUT.wav does")
    size = pcm.size_or_open(body.size, len(data) - body.start)
    if size is not None and body.end <= len(data):
        _check_end(data, layout, body)
    promise = pcm.Promise(layout.name, body.start, size, "its BODY chunk")
    encoding = pcm.integers(1 if data[8:12] == b"8SVX" else 2, ">")
    return pcm.inspect(data, promise, rate, 1, encoding, tolerance, ends=True)


def inspect_caf(data: bytes, tolerance: Tolerance) -> Contents:
    """Counts the samples of a CAF, of PCM or ALAC.

    Raises:
        Reject: bad_audio.
    """
    layout = Layout("CAF", ">", "caf")
    found = _read_chunks(data, layout, 8, b"data")
    desc, audio = found.get(b"desc"), found.get(b"data")
    if desc is None or desc.size < 32 or audio is None:
        raise Reject("bad_audio", "a CAF without a desc and a data chunk")
    exact_rate, codec, flags, packet_size, _, channels, bits = struct.unpack_from(">d4sIIIII", data, desc.start)
    rate = round(exact_rate) if 0 < exact_rate < 2**31 else 0
    check_rate(layout.name, rate, data[desc.start : desc.start + 8], lambda usual: struct.pack(">d", usual))
    start = audio.start + 4  # behind a number of edits
    there = max(0, len(data) - start)
    is_open = audio.size >= 1 << 63  # -1: until the end
    size = None if is_open else pcm.size_or_open(max(0, audio.size - 4), there)
    if size is not None and audio.end <= len(data):
        _check_end(data, layout, audio)
    promise = pcm.Promise(layout.name, start, size, "its data chunk")
    encoding = {b"ulaw": pcm.MULAW, b"alaw": pcm.ALAW}.get(codec)
    if codec == b"lpcm":
        order = "<" if flags & 2 else ">"
        encoding = (pcm.floats if flags & 1 else pcm.integers)((bits + 7) // 8, order)
    if encoding is not None:
        if packet_size != encoding.num_bytes * channels or not packet_size:
            told = f"{channels} channels of {bits} bits, but packets of {packet_size} bytes"
            raise Reject("bad_audio", f"a damaged CAF: its desc chunk says {told}")
        return pcm.inspect(data, promise, rate, channels, encoding, tolerance, ends=True)
    if (
        codec == b"alac"
        and size is not None
        and (packets := found.get(b"pakt")) is not None
        and packets.size >= 24
    ):
        if size > there:
            raise cut("CAF", promise.by, size, there)
        _, num_samples = struct.unpack_from(">QQ", data, packets.start)
        return Contents("CAF", rate, channels, num_samples, parts=(Part(data, num_samples),))
    told = f"codec {codec.decode('latin-1')!r}"
    raise Reject("bad_audio", f"a CAF of {told} is not read; convert it to WAV, as ffmpeg -i IN OUT.wav does")


def _read_chunks(data: bytes, layout: Layout, start: int, audio: bytes) -> dict[bytes, Chunk]:
    """The first chunk of each name; that with the audio may end behind the file's end, the others not."""
    found: dict[bytes, Chunk] = {}
    for chunk in layout.walk(data, start):
        if chunk.name in found:
            continue
        found[chunk.name] = chunk
        if chunk.end > len(data):
            if chunk.name != audio and audio not in found:
                raise cut(layout.name, f"its {chunk.name.decode()!r} chunk", chunk.size, len(data) - chunk.start)
            break
        if chunk.name == audio and chunk.size == 0:
            break
    return {name: chunk for name, chunk in found.items() if chunk.end <= len(data) or name == audio}


def _check_end(data: bytes, layout: Layout, audio: Chunk) -> None:
    file_end = None
    if layout.kind == "iff":
        file_end = 8 + int.from_bytes(data[4:8], "big")
    if not layout.is_end(data, audio, file_end):
        layout.raise_more_behind(data, audio)
