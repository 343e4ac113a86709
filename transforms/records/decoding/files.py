"""Whole files of audio: what a decoder gives is held against what the container's own bytes hold.

A decoder's end of stream is no proof that all of a clip came out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from melbeam.transforms.records.containers import Contents, flac_digest, inspect, name_of
from melbeam.transforms.records.decoding.audio import (
    MAX_RATE,
    MIN_RATE,
    Audio,
    DecodedBlocks,
    DecoderError,
    MonoStream,
    large_clips_blamed,
    no_samples,
)
from melbeam.transforms.records.decoding.libav import as_float32, is_installed, open_with_libav
from melbeam.transforms.records.decoding.libsndfile import open_with_libsndfile
from melbeam.transforms.records.decoding.media import Media, media_of
from melbeam.transforms.records.decoding.quiet import quietly
from melbeam.transforms.records.decoding.raw_samples import from_16_bit
from melbeam.transforms.records.rejects import Reject

_PLAIN_WAV = struct.Struct("<4sI4s 4sIHHIIHH 4sI")  # RIFF, fmt and data, one behind the other
_MAX_PLAIN_SIZE = 0x7FFF0000  # what writers to a pipe leave as a size is above it
_EXTRA = "the extra melbeam[media]"
# FFmpeg's demuxers of the formats that are counted and that both decoders take, or libsndfile does not.
_DEMUXERS = {"FLAC": "flac", "MP3": "mp3", "Ogg": "ogg"}


@dataclass
class _Request:
    """What one call of `decode_audio` asks for, and the samples that were opened for it last."""

    sampling_rate: int
    declared_rate: int | None
    max_seconds: float | None
    check_md5: bool
    opened: MonoStream | None = None

    def stream(self, opened: DecodedBlocks) -> MonoStream:
        """The samples-to-be of a file that a decoder has opened.

        Raises:
            Reject: bad_audio or rate_mismatch.
        """
        self.opened = MonoStream(
            source_rate=opened.sampling_rate,
            num_channels=opened.num_channels,
            sampling_rate=self.sampling_rate,
            max_seconds=self.max_seconds,
        )
        self.check_rate(opened.sampling_rate)
        return self.opened

    def check_rate(self, rate: int) -> None:
        if self.declared_rate is not None and self.declared_rate != rate:
            raise Reject("rate_mismatch", f"the record says {self.declared_rate} Hz, its audio says {rate} Hz")


def decode_audio(
    data: bytes,
    *,
    sampling_rate: int,
    declared_rate: int | None = None,
    max_seconds: float | None = None,
    cut_tolerance_seconds: float = 0.0,
    check_md5: bool = False,
) -> Audio:
    """Decodes a whole file by its own headers; channels are averaged.

    The samples that its bytes hold are counted without a decoder, and what libsndfile decodes must agree: to the
    sample where the format says so, else within one frame. Where it does not, PyAV is asked, if it is installed,
    and held against the same count. Formats that libsndfile does not take go to PyAV alone.

    Args:
        data: a whole file.
        sampling_rate: Hz of the samples that come out; soxr resamples where the source differs.
        declared_rate: Hz that the record names, or None.
        max_seconds: a longer clip is a reject; decoding stops there, whatever the header says.
        cut_tolerance_seconds: a file that lacks no more than this of what its header promises is taken.
        check_md5: whether the MD5 of its samples that a FLAC may carry is checked.

    Raises:
        Reject: bad_audio, empty_audio, not_finite, out_of_range, rate_mismatch or over_limit.
    """
    request = _Request(sampling_rate, declared_rate, max_seconds, check_md5)
    plain_rate = _rate_of_plain_wav(data)
    if plain_rate is not None:
        request.check_rate(plain_rate)
        samples = np.frombuffer(data, "<i2", offset=_PLAIN_WAV.size)
        return from_16_bit(samples, source_rate=plain_rate, sampling_rate=sampling_rate, max_seconds=max_seconds)
    with large_clips_blamed(lambda: len(data) + (request.opened.num_bytes if request.opened else 0)):
        contents = inspect(data, cut_tolerance_seconds=cut_tolerance_seconds)
        return quietly(lambda: _decode(data, contents, request))


def _decode(data: bytes, contents: Contents | None, request: _Request) -> Audio:
    if contents is None:
        return _decode_media(data, request)
    if not contents.num_samples:
        raise no_samples()
    demuxer = _DEMUXERS.get(contents.format.split()[0])
    try:
        if contents.parts is None:
            _check_installed(contents.format)
            return _decode_with_libav(data, contents, demuxer, request)
        try:
            return _decode_with_libsndfile(data, contents, request)
        except DecoderError as first:
            # FFmpeg takes damaged FLAC frames without a word: there, libsndfile's word stands.
            if demuxer in (None, "flac"):
                raise
            if not is_installed():
                raise DecoderError(f"{first}; with {_EXTRA} a second decoder is asked") from first
            try:
                return _decode_with_libav(data, contents, demuxer, request)
            except DecoderError as second:
                raise DecoderError(f"{first}; {second}") from second
    except DecoderError as error:
        raise Reject("bad_audio", str(error)) from error


def _decode_with_libsndfile(data: bytes, contents: Contents, request: _Request) -> Audio:
    digest = flac_digest(data) if request.check_md5 else None
    stream: MonoStream | None = None
    decoded = promised = 0
    for part in contents.parts or ():
        with open_with_libsndfile(part.data) as opened:
            if stream is None:
                stream = request.stream(opened)
                stream.check_length(contents.num_samples)
            start = decoded
            for block in opened.blocks:
                if digest is not None:
                    digest.update(block)
                # What fills a codec's last block behind the audio is left out.
                stream.write(block[: max(0, start + part.num_samples - decoded)] if part.num_filled else block)
                decoded += len(block)
        promised += part.num_samples + part.num_filled
        _check_count(contents, decoded, promised, contents.tolerance, "libsndfile")
    if digest is not None:
        digest.check()
    if stream is None:
        raise no_samples()
    return stream.audio(cut_short=contents.cut_tolerated)


def _decode_with_libav(data: bytes, contents: Contents, demuxer: str | None, request: _Request) -> Audio:
    if demuxer is None:
        raise Reject("bad_audio", f"{contents.format}: no decoder for it; convert it to FLAC")
    digest = flac_digest(data) if request.check_md5 else None
    with open_with_libav(data, demuxer) as opened:
        stream = request.stream(opened)
        # Opus has no rate of its own: FFmpeg decodes it at 48 kHz, libsndfile at the rate that its header names.
        scale = opened.sampling_rate / contents.sampling_rate
        promised = round(contents.num_samples * scale)
        stream.check_length(promised)
        for block in opened.blocks:
            if digest is not None:
                digest.update(block)
            stream.write(as_float32(block))
    _check_count(contents, stream.num_samples, promised, round(contents.tolerance * scale), "PyAV")
    if digest is not None:
        digest.check()
    return stream.audio(cut_short=contents.cut_tolerated)


def _check_count(contents: Contents, decoded: int, promised: int, tolerance: int, decoder: str) -> None:
    """Raises DecoderError where a decode differs from what was counted by more than the tolerance."""
    if abs(decoded - promised) <= tolerance:
        return
    remark = f"{contents.remark}; " if contents.remark else ""
    raise DecoderError(
        f"{contents.format}: {remark}its bytes hold {promised} samples a channel, {decoder} decodes {decoded}"
    )


def _decode_media(data: bytes, request: _Request) -> Audio:
    """A format that FFmpeg alone takes: the decode is held against what the container states."""
    media = media_of(data)
    if media is None:
        name = name_of(data)
        what = f"{name}, which melbeam takes from no decoder" if name else "of a format that melbeam does not know"
        raise Reject("bad_audio", f"{len(data)} bytes that cannot be decoded: {what}; convert it to FLAC")
    _check_installed(media.name)
    try:
        return _decode_media_with_libav(data, media, request)
    except DecoderError as error:
        raise Reject("bad_audio", str(error)) from error


def _decode_media_with_libav(data: bytes, media: Media, request: _Request) -> Audio:
    with open_with_libav(data, media.demuxer, has_times=media.has_times) as opened:
        stream = request.stream(opened)
        rate = opened.sampling_rate
        promised = None if media.seconds is None else round(media.seconds * rate)
        if promised is not None:
            stream.check_length(promised)
        decoded = 0
        for block in opened.blocks:
            keep = max(0, promised - decoded) if media.is_trimmed and promised is not None else len(block)
            stream.write(as_float32(block[:keep]))
            decoded += len(block)
        tolerance = round(media.tolerance * rate) + (0 if opened.is_lossless else opened.longest_frame)
    if promised is not None and abs(decoded - promised) > tolerance:
        raise DecoderError(f"{media.name}: it states {promised} samples a channel, PyAV decodes {decoded}")
    return stream.audio()


def _check_installed(name: str) -> None:
    if not is_installed():
        raise Reject("bad_audio", f"{name} is decoded with {_EXTRA}, which is not installed here")


def _rate_of_plain_wav(data: bytes) -> int | None:
    """Hz of a WAV of mono 16-bit samples that is whole and has the one header that it can have, else None.

    Most corpora hold nothing else, and libsndfile takes several times longer to give the same samples.
    """
    size = len(data) - _PLAIN_WAV.size
    rate = int.from_bytes(data[24:28], "little")
    if size <= 0 or size % 2 or size >= _MAX_PLAIN_SIZE or not MIN_RATE <= rate <= MAX_RATE:
        return None
    riff, fmt = (b"RIFF", 36 + size, b"WAVE"), (b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return rate if data.startswith(_PLAIN_WAV.pack(*riff, *fmt, b"data", size)) else None
