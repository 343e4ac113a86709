"""What the sample description (stsd) of an MP4 says of its codec: rate, channels, the delays of its encoders.

FFmpeg guesses where this is damaged, and then gives one channel as two, or at another rate, without a word.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from melbeam.transforms.records.containers import flac
from melbeam.transforms.records.containers.ogg import OPUS_RATE
from melbeam.transforms.records.containers.rates import is_damaged_byte
from melbeam.transforms.records.decoding.media.frames import AAC_RATES
from melbeam.transforms.records.decoding.media.mp4_boxes import NAME, Span, child
from melbeam.transforms.records.decoding.media.stated import Media, damaged

_OWN_RATE = 15  # in place of the number of one of AAC's rates, which it then stands behind
_AAC_CHANNELS = {0: None, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8, 14: 8}
_AAC_LC, _SBR, _PS = 2, 5, 29  # audio object types
_AAC_TYPES = (1, _AAC_LC, 3, 4, _SBR, 17, 23, _PS, 39, 42)
_SYNC_EXTENSION = 0x2B7  # behind which it is said whether there is SBR, where older decoders do not look
_MPEG4_AUDIO = 0x40  # an object type indication
_MAX_IMPLICIT = 24000  # Hz; above, no stream has a second half that its header does not name
# Samples that encoders of AAC are known to put in front: ffmpeg, Android's, Apple's, Nero's.
_AAC_DELAYS = (0, 1024, 2048, 2112, 2624)
_HEADERS = {0: 36, 1: 52, 2: 72}  # bytes of a description of sound, by its version (QuickTime has the latter two)


@dataclass(frozen=True)
class Codec:
    """What the sample description says.

    Attributes:
        sampling_rate: Hz of a decode, or None where that is not said here.
        num_channels: of a decode, or None.
        may_double: whether a decode may have twice the rate, and two channels where one is said: a stream may
            carry the upper half of its spectrum where its header does not say so (SBR, PS).
        delays: samples that its encoders put in front, any of them.
    """

    sampling_rate: int | None = None
    num_channels: int | None = None
    may_double: bool = False
    delays: tuple[int, ...] = (0,)

    def media(self, seconds: Fraction) -> Media:
        """What a decode of a track of so many seconds is held against."""
        return Media(
            NAME,
            "mov",
            seconds,
            is_trimmed=True,
            has_times=True,
            sampling_rate=self.sampling_rate,
            num_channels=self.num_channels,
            may_double=self.may_double,
        )


def codec_of(data: bytes, table: Span, scale: int) -> Codec:
    """The codec of the first sample description of a track's tables (stbl), held against the track's time scale.

    Raises:
        Reject: bad_audio; the description contradicts itself, or the time scale is a damaged byte from the
            sampling rate, which most writers put there.
    """
    codec = _described(data, table)
    rate = codec.sampling_rate
    if rate is not None and is_damaged_byte(scale.to_bytes(4, "big"), rate.to_bytes(4, "big")):
        raise damaged(NAME, f"its times are in 1/{scale} s, its audio is of {rate} Hz")
    return codec


def _described(data: bytes, table: Span) -> Codec:
    start, end = child(data, *table, b"stsd")
    start += 8
    if start + 36 > end:
        raise damaged(NAME, f"a sample description of {end - start} bytes")
    size, name = struct.unpack_from(">I4s", data, start)
    version = int.from_bytes(data[start + 16 : start + 18], "big")
    if start + size > end or version not in _HEADERS:
        raise damaged(NAME, f"a sample description of {size} bytes and version {version} in {end - start} bytes")
    # Version 2 has another field in its place. Above 65,535 Hz, writers leave 0, halve it, or cut off its bits.
    rate = int.from_bytes(data[start + 32 : start + 34], "big") if version < 2 else 0
    inner = dict(_descriptions(data, start + _HEADERS[version], start + size))
    if name == b"mp4a":
        if b"esds" not in inner:
            raise damaged(NAME, "its sample description has no esds, which says how the AAC is to be decoded")
        return _aac(data, inner[b"esds"])
    if name == b"alac":
        return _alac(data, inner, rate)
    if name == b"Opus":
        return _opus(data, inner)
    if name == b"fLaC":
        return _flac(data, inner)
    return Codec()


def _descriptions(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, Span]]:
    """The boxes in a description; QuickTime's `wave` has them one deeper, and ends with one of no name."""
    while start + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, start)
        if size < 8 or start + size > end:
            return
        if name == b"wave":
            yield from _descriptions(data, start + 8, start + size)
        yield name, (start + 8, start + size)
        start += size


def _descriptor(data: bytes, at: int, end: int, tag: int, skip: int) -> Span:
    """What is in a descriptor of ISO/IEC 14496-1, section 8.3.3: a tag, a size of 7 bits a byte, content.

    `skip` bytes of the content belong to the descriptor itself; others lie behind them.
    """
    found = data[at] if at < end else -1
    at += 1
    size = 0
    for _ in range(4):
        byte = data[at] if at < end else 0
        at += 1
        size = size << 7 | byte & 0x7F
        if byte < 0x80:
            break
    if found != tag or at + size > end or size < skip:
        raise damaged(NAME, f"its esds has a descriptor {found:#x} of {size} bytes where {tag:#x} should be")
    return at + skip, at + size


def _aac(data: bytes, esds: Span) -> Codec:
    start, end = _descriptor(data, esds[0] + 4, esds[1], 3, 3)
    flags = data[start - 1]
    start += 2 if flags & 0x80 else 0  # what it depends on, a URL, whose clock it has
    start += 1 + int.from_bytes(data[start : start + 1], "big") if flags & 0x40 else 0
    start += 2 if flags & 0x20 else 0
    start, end = _descriptor(data, start, end, 4, 13)
    if data[start - 13] != _MPEG4_AUDIO:
        return Codec()  # MPEG-2's AAC or MP3, which say it in their frames
    start, end = _descriptor(data, start, end, 5, 2)
    return _audio_specific(int.from_bytes(data[start - 2 : end], "big"), 8 * (end - start + 2))


def _audio_specific(bits: int, left: int) -> Codec:
    """ISO/IEC 14496-3, section 1.6.2.1."""

    def take(count: int) -> int:
        nonlocal left
        left -= count
        if left < 0:
            raise damaged(NAME, "its esds ends inside the configuration of its AAC")
        return bits >> left & (1 << count) - 1

    def take_type() -> int:
        kind = take(5)
        return 32 + take(6) if kind == 31 else kind

    def take_rate() -> int:
        index = take(4)
        if index != _OWN_RATE and index >= len(AAC_RATES):
            raise damaged(NAME, f"its esds has a rate of number {index}")
        return take(24) if index == _OWN_RATE else AAC_RATES[index]

    kind, rate, layout = take_type(), take_rate(), take(4)
    if kind not in _AAC_TYPES or layout not in _AAC_CHANNELS:
        raise damaged(NAME, f"its esds says audio of type {kind} and layout {layout}, which is not AAC")
    channels = _AAC_CHANNELS[layout]
    if kind in (_SBR, _PS):
        # One channel may be two by PS, which need not be said.
        return Codec(take_rate(), 2 if kind == _PS else None if channels == 1 else channels, delays=())
    take(3 if layout else left)  # the length of frames and two flags; other layouts describe themselves
    if left >= 17 and take(11) == _SYNC_EXTENSION and take_type() == _SBR:
        has_sbr = take(1)
        rate = take_rate() if has_sbr else rate
        return Codec(rate, None if has_sbr and channels == 1 else channels, delays=_AAC_DELAYS)
    return Codec(rate, channels, kind == _AAC_LC and rate <= _MAX_IMPLICIT, _AAC_DELAYS)


def _alac(data: bytes, inner: dict[bytes, Span], rate: int) -> Codec:
    """Apple's ALACSpecificConfig: the channels at byte 9, the rate in the last four of 24."""
    start, end = inner.get(b"alac", (0, 0))
    if end - start < 28:
        raise damaged(NAME, "its sample description has no alac, which says how the ALAC is to be decoded")
    channels, exact = data[start + 13], int.from_bytes(data[start + 24 : start + 28], "big")
    if rate not in (0, exact & 0xFFFF, *(exact >> halvings for halvings in range(5))):
        raise damaged(NAME, f"its sample description says {rate} Hz, its ALAC {exact} Hz")
    return Codec(exact, channels)


def _flac(data: bytes, inner: dict[bytes, Span]) -> Codec:
    """A FLAC's STREAMINFO, which lies behind a version and the head of its block."""
    start, end = inner.get(b"dfLa", (0, 0))
    if end - start < 4 + 4 + 34:
        raise damaged(NAME, "its sample description has no dfLa, which says how the FLAC is to be decoded")
    sampling_rate, num_channels, _, _ = flac.unpack_format(data[start + 18 : start + 26])
    return Codec(sampling_rate, num_channels)


def _opus(data: bytes, inner: dict[bytes, Span]) -> Codec:
    """Encapsulation of Opus in ISO base media, section 4.3.2: version, channels, pre-skip."""
    start, end = inner.get(b"dOps", (0, 0))
    if end - start < 11:
        raise damaged(NAME, "its sample description has no dOps, which says how the Opus is to be decoded")
    return Codec(OPUS_RATE, data[start + 1], delays=(int.from_bytes(data[start + 2 : start + 4], "big"),))
