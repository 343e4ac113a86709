"""Ogg: its pages by checksum, number and end; the samples by the last page's granule position (RFC 3533).

Each page has a CRC-32 and a number, and the last one of a stream says that it is that. So a stream whose pages
hold, follow each other and end is whole, and the position in its last page is its length. Streams that follow each
other (chained) are given to libsndfile one at a time, as it reads the first only; of streams side by side
(multiplexed), the pages of the one that holds audio.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from melbeam.transforms.records.containers import flac, tags
from melbeam.transforms.records.containers.checksums import ogg_crc, reversed_bits
from melbeam.transforms.records.containers.contents import Contents, Part, Tolerance, cut
from melbeam.transforms.records.rejects import Reject

_HEADER = struct.Struct("<4sBBqIIIB")  # OggS, version, flags, granule, serial, number, checksum, segments
_CONTINUED, _FIRST, _LAST = 1, 2, 4  # flags
OPUS_RATE = 48000  # Hz, of granule positions whatever the rate of the source
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)  # Hz, that its decoder gives
_OPUS_FRAMES = (  # samples of a frame by the five bits of a packet's first byte (RFC 6716, table 2)
    *(480, 960, 1920, 2880) * 3,
    *(480, 960) * 2,
    *(120, 240, 480, 960) * 4,
)
_MAX_BYTES_OF_MODES = 336  # of 64 modes, with their number and the bit behind them
_ZEROS = b"\0\0\0\0"


class _Page(NamedTuple):  # a frozen dataclass takes three times as long to make
    start: int
    body: int  # byte behind its header
    end: int
    flags: int
    granule: int


@dataclass
class _Stream:
    """The pages of one stream, in order."""

    pages: list[_Page]
    first_packet: bytes
    next_number: int
    is_ended: bool = False


@dataclass(frozen=True)
class _Codec:
    """A way to keep audio in Ogg.

    Attributes:
        name: for people.
        magic: what its first packet begins with.
        read: of the file and a stream, what it holds, of the pages' own bytes.
    """

    name: str
    magic: bytes
    read: Callable[[bytes, _Stream, bytes], Contents]


def inspect(data: bytes, tolerance: Tolerance) -> Contents:
    """Checks the pages of an Ogg and counts the samples of its audio.

    Raises:
        Reject: bad_audio.
    """
    front = tags.start_of_content(data)
    links = _read_links(data, front, tags.start_of_tags_behind(data))
    found = [_read_link(data, link, tolerance) for link in links]
    first = found[0]
    for number, other in enumerate(found[1:], 1):
        if _kind(first) != _kind(other):
            raise Reject(
                "bad_audio", f"an Ogg whose stream {number} is {_kind(other)}, and its first {_kind(first)}"
            )
    if len(found) == 1:
        return first
    parts = [part for other in found for part in other.parts or ()]
    return Contents(
        format=first.format,
        sampling_rate=first.sampling_rate,
        num_channels=first.num_channels,
        num_samples=sum(other.num_samples for other in found),
        tolerance=sum(other.tolerance for other in found),
        parts=None if first.parts is None else tuple(parts),
        remark=f"{len(found)} streams follow each other in it",
    )


def _kind(contents: Contents) -> str:
    return f"{contents.format} of {contents.sampling_rate} Hz and {contents.num_channels} channels"


def _read_links(data: bytes, start: int, end: int) -> list[dict[int, _Stream]]:
    """The streams by serial number, those that are side by side together; each whole."""
    flipped = memoryview(reversed_bits(data))
    links: list[dict[int, _Stream]] = []
    streams: dict[int, _Stream] = {}
    has_begun = False  # whether pages other than first ones were seen
    position = start
    while position < end:
        if not data.startswith(b"OggS", position):
            if tags.size_of_zeros(data, position, end) == end - position:
                break
            raise Reject("bad_audio", f"a damaged Ogg: no page begins at byte {position}")
        if position + _HEADER.size > len(data):
            raise _cut_page(position, data)
        _, version, flags, granule, serial, number, checksum, num_segments = _HEADER.unpack_from(data, position)
        body = position + _HEADER.size + num_segments
        behind = body + sum(data[position + _HEADER.size : body])
        if behind > len(data) or body > len(data):
            raise _cut_page(position, data)
        found = ogg_crc(flipped[position : position + 22], _ZEROS, flipped[position + 26 : behind])
        if version or found != checksum:
            raise Reject("bad_audio", f"a damaged Ogg: the checksum of the page at byte {position} does not hold")
        page = _Page(position, body, behind, flags, granule)
        if flags & _FIRST:
            if has_begun:
                _check_ended(streams)
                streams, has_begun = {}, False
            if not streams:
                links.append(streams)
            if serial in streams:
                raise Reject("bad_audio", f"a damaged Ogg: two of its streams have the number {serial}")
            streams[serial] = _Stream([page], _first_packet(data, page), number + 1, bool(flags & _LAST))
        else:
            has_begun = True
            stream = streams.get(serial)
            if stream is None or stream.is_ended:
                raise Reject("bad_audio", f"a damaged Ogg: the page at byte {position} belongs to no stream")
            if number != stream.next_number & 0xFFFFFFFF:
                wanted = stream.next_number
                raise Reject("bad_audio", f"a cut Ogg: page {wanted} is missing, {number} is at byte {position}")
            stream.pages.append(page)
            stream.next_number += 1
            stream.is_ended = bool(flags & _LAST)
        position = behind
    if not links:
        raise Reject("bad_audio", f"an Ogg of {len(data)} bytes without a page")
    _check_ended(streams)
    return links


def _cut_page(position: int, data: bytes) -> Reject:
    return Reject("bad_audio", f"a cut Ogg: the page at byte {position} ends beyond the {len(data)} bytes")


def _check_ended(streams: dict[int, _Stream]) -> None:
    for stream in streams.values():
        if not stream.is_ended:
            last = stream.pages[-1]
            raise Reject(
                "bad_audio", f"a cut Ogg: no page says that it is the last; the last ends at byte {last.end}"
            )


def _first_packet(data: bytes, page: _Page) -> bytes:
    size = 0
    for segment in data[page.start + _HEADER.size : page.body]:
        size += segment
        if segment < 255:
            break
    return data[page.body : page.body + size]


def _read_link(data: bytes, streams: dict[int, _Stream], tolerance: Tolerance) -> Contents:
    audio = []
    for stream in streams.values():
        codec = next((codec for codec in _CODECS if stream.first_packet.startswith(codec.magic)), None)
        if codec is not None:
            audio.append((codec, stream))
    if len(audio) != 1:
        names = ", ".join(codec.name for codec, _ in audio)
        starts = ", ".join(repr(stream.first_packet[:8]) for stream in streams.values())
        told = (
            f"{len(audio)} streams of audio side by side: {names}"
            if audio
            else f"no audio that is known: {starts}"
        )
        raise Reject("bad_audio", f"an Ogg with {told}")
    codec, stream = audio[0]
    _check_granules(data, stream, codec.name)
    if len(streams) == 1:
        start, end = stream.pages[0].start, stream.pages[-1].end
        pages = data if (start, end) == (0, len(data)) else data[start:end]
    else:
        pages = b"".join(data[page.start : page.end] for page in stream.pages)
    if codec.magic == b"\x7fFLAC":
        return _read_flac(data, stream, tolerance)
    return codec.read(data, stream, pages)


def _check_granules(data: bytes, stream: _Stream, name: str) -> None:
    last = 0
    for page in stream.pages:
        if page.granule < -1 or (page.granule != -1 and page.granule < last):
            raise Reject(
                "bad_audio",
                f"a damaged {name}: the position of the page at byte {page.start} is {page.granule}, after {last}",
            )
        last = max(last, page.granule)
    # No position means that no packet ends there (RFC 3533, section 6): what does would be cut off.
    for page in reversed(stream.pages):
        if page.granule != -1:
            break
        if any(size < 255 for size in data[page.start + _HEADER.size : page.body]):
            raise Reject(
                "bad_audio",
                f"a damaged {name}: packets end on the page at byte {page.start}, which has no position",
            )


def _last_granule(stream: _Stream) -> int:
    return max(page.granule for page in stream.pages)


@dataclass
class _Packets:
    """The packets that end on each page of a stream, up to the first page with a position behind its headers."""

    headers: list[bytes] = field(default_factory=list)
    audio: list[bytes] = field(default_factory=list)
    granule: int = 0
    is_last_page: bool = False


def _first_packets(data: bytes, stream: _Stream, num_headers: int) -> _Packets:
    """The header packets, and those of audio up to the first position that a page names."""
    found = _Packets()
    pieces: list[bytes] = []
    for page in stream.pages:
        position = page.body
        size = 0
        for segment in data[page.start + _HEADER.size : page.body]:
            size += segment
            if segment == 255:
                continue
            packet = b"".join((*pieces, data[position : position + size]))
            pieces.clear()
            position, size = position + size, 0
            (found.headers if len(found.headers) < num_headers else found.audio).append(packet)
        if size:
            pieces.append(data[position : position + size])
        if found.audio and page.granule != -1:
            found.granule, found.is_last_page = page.granule, bool(page.flags & _LAST)
            break
    return found


def _start_of_audio(packets: _Packets, num_samples: int) -> int:
    """The position of the first sample: not 0 in what was cut out of a longer stream, whose positions go on."""
    return 0 if packets.is_last_page else max(0, packets.granule - num_samples)


def _read_vorbis(data: bytes, stream: _Stream, pages: bytes) -> Contents:
    packets = _first_packets(data, stream, num_headers=3)
    if len(packets.headers) < 3 or len(stream.first_packet) < 30:
        raise Reject("bad_audio", "a damaged Ogg Vorbis: its three headers are not there")
    channels, rate = struct.unpack_from("<BI", stream.first_packet, 11)
    sizes = stream.first_packet[28]
    durations = _vorbis_durations(packets.headers[2], packets.audio, (1 << (sizes & 15), 1 << (sizes >> 4)))
    num_samples = _last_granule(stream) - _start_of_audio(packets, durations)
    return _contents("Ogg Vorbis", rate, channels, num_samples, pages)


def _vorbis_durations(setup: bytes, packets: list[bytes], block_sizes: tuple[int, int]) -> int:
    """Samples that packets of Vorbis give: a quarter of a packet's block and of the one before, but for the first.

    Which block a packet has, its mode says; the modes are the last part of the setup header, 41 bits each behind
    their number in 6 bits, so they are read from its end (Vorbis I, sections 4.2.4 and 4.3.1).
    """
    bits = int.from_bytes(setup[-_MAX_BYTES_OF_MODES:], "little")
    end = bits.bit_length() - 1  # of the framing bit
    flags: list[int] = []
    num_modes = 0
    # A mode: its block, 16 bits of window type and 16 of transform type, which are 0, and 8 of mapping.
    while end - 41 * (len(flags) + 1) >= 6 and len(flags) < 64:
        mode = bits >> (end - 41 * (len(flags) + 1)) & (1 << 41) - 1
        if mode >> 1 & 0xFFFFFFFF:
            break
        flags.insert(0, mode & 1)
        if bits >> (end - 41 * len(flags) - 6) & 63 == len(flags) - 1:
            num_modes = len(flags)
    if not num_modes:
        raise Reject("bad_audio", "a damaged Ogg Vorbis: its setup header holds no modes")
    flags = flags[-num_modes:]
    mask = (1 << (num_modes - 1).bit_length()) - 1
    total, before = 0, 0
    for packet in packets:
        if not packet or packet[0] & 1:  # no audio
            continue
        mode = packet[0] >> 1 & mask
        size = block_sizes[flags[mode] if mode < num_modes else 0]
        if before:
            total += (before + size) // 4
        before = size
    return total


def _read_opus(data: bytes, stream: _Stream, pages: bytes) -> Contents:
    packets = _first_packets(data, stream, num_headers=2)
    if len(packets.headers) < 2 or len(stream.first_packet) < 19:
        raise Reject("bad_audio", "a damaged Ogg Opus: its two headers are not there")
    channels, pre_skip, source_rate = struct.unpack_from("<BHI", stream.first_packet, 9)
    rate = next((rate for rate in _OPUS_RATES if source_rate <= rate), OPUS_RATE)
    start = _start_of_audio(packets, sum(map(opus_duration, packets.audio)))
    # A decoder makes up what is missing, so that its count would not show it.
    promised, there = _last_granule(stream) - start, _opus_samples(data, stream)
    if promised > there:
        raise cut("Ogg Opus", "its last page", promised, there, "samples of 48 kHz")
    num_samples = max(0, promised - pre_skip)
    return _contents("Ogg Opus", rate, channels, num_samples // (OPUS_RATE // rate), pages)


def opus_duration(packet: bytes) -> int:
    """Samples of 48 kHz in a packet (RFC 6716, section 3.1)."""
    if not packet:
        return 0
    num_frames = (1, 2, 2)[packet[0] & 3] if packet[0] & 3 < 3 else packet[1] & 63 if len(packet) > 1 else 0
    return num_frames * _OPUS_FRAMES[packet[0] >> 3]


def _opus_samples(data: bytes, stream: _Stream) -> int:
    """Samples of 48 kHz in all packets of audio."""
    total, num_packets = 0, 0
    is_begin = True
    for page in stream.pages:
        position = page.body
        for segment in data[page.start + _HEADER.size : page.body]:
            if is_begin:
                num_packets += 1
                if num_packets > 2:
                    total += opus_duration(data[position : position + min(segment, 2)])
            position += segment
            is_begin = segment < 255
    return total


def _read_speex(data: bytes, stream: _Stream, pages: bytes) -> Contents:
    if len(stream.first_packet) < 72:
        raise Reject("bad_audio", "a damaged Ogg Speex: its header is not there")
    (rate,) = struct.unpack_from("<I", stream.first_packet, 36)
    channels, _, frame_size, _, frames_a_packet = struct.unpack_from("<IiIII", stream.first_packet, 48)
    (num_more_headers,) = struct.unpack_from("<I", stream.first_packet, 68)
    frames_a_packet = max(1, frames_a_packet)
    there = (_num_packets(data, stream) - 2 - num_more_headers) * frames_a_packet * frame_size
    promised = _last_granule(stream)
    if promised > there + frame_size:  # GStreamer counts the decoder's look-ahead, which is less than a frame
        raise cut("Ogg Speex", "its last page", promised, max(0, there), "samples")
    # The last packet may have fewer frames than the others.
    return Contents("Ogg Speex", rate, channels, max(0, there), (frames_a_packet - 1) * frame_size)


def _num_packets(data: bytes, stream: _Stream) -> int:
    return sum(segment < 255 for page in stream.pages for segment in data[page.start + _HEADER.size : page.body])


def _read_flac(data: bytes, stream: _Stream, tolerance: Tolerance) -> Contents:
    """The packets are a FLAC's metadata blocks and frames, so that they make one without the pages around them."""
    body = b"".join(
        data[page.body : page.end] for page in stream.pages
    )  # a packet that goes on over pages has nothing between
    # 0x7F, FLAC, two bytes of version and two of the number of headers, then a FLAC's own beginning.
    return flac.inspect(body[9:], tolerance, name="Ogg FLAC")


def _contents(name: str, rate: int, channels: int, num_samples: int, pages: bytes) -> Contents:
    return Contents(name, rate, channels, num_samples, parts=(Part(pages, num_samples),))


def _never(data: bytes, stream: _Stream, pages: bytes) -> Contents:
    raise AssertionError("read by its frames")


_CODECS = (
    _Codec("Ogg Vorbis", b"\x01vorbis", _read_vorbis),
    _Codec("Ogg Opus", b"OpusHead", _read_opus),
    _Codec("Ogg FLAC", b"\x7fFLAC", _never),
    _Codec("Ogg Speex", b"Speex   ", _read_speex),
)
