"""WMA and other ASF files: Microsoft's Advanced Systems Format, objects of a GUID and a 64-bit size."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction

from melbeam.transforms.records.containers.rates import as_integers, check_rate
from melbeam.transforms.records.decoding.media.stated import Media, cut, damaged

NAME = "WMA (ASF)"
_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_STREAM_PROPERTIES = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
_SOUND = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
# The file's id and size, when it was made, packets, playing and sending time, preroll, flags, packet sizes, rate.
_PROPERTIES = struct.Struct("<16sQQQQQQIIII")
# Kind of stream and of its error correction, a time, two sizes, flags, four bytes; then a WAV's fmt chunk begins.
_STREAM = struct.Struct("<16s16sQIIHI HHI")
_BROADCAST = 1
_TICK = 10**7  # a second, of the times


def read(data: bytes) -> Media | None:
    """What an ASF states; None for another format."""
    if data[:16] != _HEADER:
        return None
    properties, num_packets = None, None
    rate = channels = None
    for guid, start, end in _objects(data, 0, len(data)):
        if guid == _HEADER:
            for inner, s, e in _objects(data, start + 6, end):
                if inner == _FILE_PROPERTIES and e - s >= _PROPERTIES.size:
                    properties = _PROPERTIES.unpack_from(data, s)
                elif inner == _STREAM_PROPERTIES and e - s >= _STREAM.size and rate is None:
                    stream, *_, channels, rate = _STREAM.unpack_from(data, s)
                    if stream != _SOUND:
                        rate = channels = None
        elif guid == _DATA:
            if properties is None or end - start < 26:
                break
            num_packets, packets = struct.unpack_from("<16xQ", data, start)[0], end - start - 26
            if packets != num_packets * properties[-2]:
                raise damaged(NAME, f"{num_packets} packets of {properties[-2]} bytes in {packets} bytes")
    if properties is None or num_packets is None:
        raise damaged(NAME, "it has no properties or no data")
    _, size, _, promised, play, _, preroll, flags, smallest, largest, _ = properties
    if flags & _BROADCAST:
        raise damaged(NAME, "a recording of a broadcast, whose header names no length: convert it to FLAC")
    if size != len(data):
        raise cut(NAME, size, len(data))
    if promised != num_packets or smallest != largest:
        raise damaged(NAME, f"its header names {promised} packets, its data {num_packets}")
    seconds = Fraction(play, _TICK) - Fraction(preroll, 1000)
    if seconds <= 0:
        raise damaged(NAME, f"a length of {float(seconds):.3f} s")
    if rate is None:
        raise damaged(NAME, "it has no stream of sound")
    encode = as_integers(4, "<")
    check_rate(NAME, rate, encode(rate), encode)
    return Media(
        NAME,
        "asf",
        seconds,
        tolerance=Fraction(1, 1000),
        has_times=True,
        sampling_rate=rate,
        num_channels=channels,
    )


def _objects(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while start < end:
        if start + 24 > end:
            raise cut(NAME, start + 24, end)
        guid, size = struct.unpack_from("<16sQ", data, start)
        if size < 24:
            raise damaged(NAME, f"an object of {size} bytes at byte {start}")
        if start + size > end:
            raise cut(NAME, start + size, end)
        yield guid, start + 24, start + size
        start += size
