"""Whole files of audio: what a decoder gives is held against what the container's own bytes hold.

A decoder's end of stream is no proof that all of a clip came out.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from melbeam.transforms.records.audio_bounds import MAX_RATE, MEAN, MIN_RATE
from melbeam.transforms.records.containers import Contents, flac_digest, inspect, name_of, pcm
from melbeam.transforms.records.decoding.apart import decode_apart, is_installed
from melbeam.transforms.records.decoding.audio import (
    Audio,
    DecoderError,
    MonoStream,
    Request,
    no_samples,
    of_one_channel,
)
from melbeam.transforms.records.decoding.libsndfile import open_with_libsndfile
from melbeam.transforms.records.decoding.media import Media, media_of
from melbeam.transforms.records.decoding.quiet import quietly
from melbeam.transforms.records.decoding.raw_samples import from_16_bit
from melbeam.transforms.records.rejects import Reject

_PLAIN_HEADER = 44  # bytes of a WAV in front of its samples, where it has only RIFF, fmt and data
_MAX_PLAIN_SIZE = 0x7FFF0000  # bytes of samples; a longer file is counted as any other
_EXTRA = "the extra melbeam[media]"
# FFmpeg's demuxers of the formats that are counted here, by the first word of their names.
_DEMUXERS = {"FLAC": "flac", "MP3": "mp3", "Ogg": "ogg"}
_SECOND_OPINION = ("MP3", "Ogg")


def decode_audio(
    data: bytes,
    *,
    sampling_rate: int,
    declared_rate: int | None = None,
    max_seconds: float | None = None,
    cut_tolerance_seconds: float = 0.0,
    check_md5: bool = False,
    channel: int | str = MEAN,
) -> Audio:
    """Decodes a whole file by its own headers; channels are averaged, unless `channel` says otherwise.

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
        channel: "mean", "each", which gives samples `[num_samples, num_channels]`, or a channel's number, from 0.

    Raises:
        Reject: bad_audio, empty_audio, not_finite, out_of_range, rate_mismatch, no_channel or over_limit.
    """
    request = Request(sampling_rate, declared_rate, max_seconds, check_md5, channel)
    plain_rate = _rate_of_plain_wav(data)
    if plain_rate is not None:
        request.check_rate(plain_rate)
        samples = np.frombuffer(data, "<i2", offset=_PLAIN_HEADER)
        audio = from_16_bit(samples, source_rate=plain_rate, sampling_rate=sampling_rate, max_seconds=max_seconds)
        return of_one_channel(audio, channel)
    contents = inspect(data, cut_tolerance_seconds=cut_tolerance_seconds)
    try:
        if contents is None:
            return decode_apart(data, _media_for_libav(data), request)
        if not contents.num_samples:
            raise no_samples()
        if contents.parts is not None:
            return _decode_counted(data, contents, request)
        _check_installed(contents.format)
        return decode_apart(data, _counted_media(contents), request)
    except DecoderError as error:
        raise Reject("bad_audio", str(error)) from error


def _decode_counted(data: bytes, contents: Contents, request: Request) -> Audio:
    """A file that libsndfile decodes, or PyAV where the former does not come to what was counted."""
    try:
        return quietly(lambda: _decode_with_libsndfile(data, contents, request))
    except DecoderError as first:
        # FFmpeg accepts damaged FLAC frames silently, so libsndfile's error stands.
        if contents.format.split()[0] not in _SECOND_OPINION:
            raise
        if not is_installed():
            raise DecoderError(f"{first}; with {_EXTRA} a second decoder is asked") from first
        try:
            return decode_apart(data, _counted_media(contents), request)
        except DecoderError as second:
            raise DecoderError(f"{first}; {second}") from second


def _decode_with_libsndfile(data: bytes, contents: Contents, request: Request) -> Audio:
    digest = flac_digest(data) if request.check_md5 else None
    stream: MonoStream | None = None
    decoded = promised = 0
    for part in contents.parts or ():
        with open_with_libsndfile(part.data, part.num_samples + part.num_filled) as opened:
            opened.check_kind(contents.format, contents.sampling_rate, contents.num_channels)
            if stream is None:
                stream = request.stream(opened)
                stream.check_length(contents.num_samples)
            start = decoded
            for block in opened.blocks:
                if digest is not None:
                    digest.update(block)
                # What fills a codec's last block behind the audio is left out.
                keep = max(0, start + part.num_samples - decoded) if part.num_filled else len(block)
                stream.write(block[:keep])
                decoded += len(block)
        promised += part.num_samples + part.num_filled
        if abs(decoded - promised) > contents.tolerance:
            remark = f"{contents.remark}; " if contents.remark else ""
            raise DecoderError(
                f"{contents.format}: {remark}its bytes hold {promised} samples a channel, libsndfile decodes "
                f"{decoded}"
            )
    if digest is not None:
        digest.check()
    if stream is None:
        raise no_samples()
    return stream.audio(cut_short=contents.cut_tolerated)


def _counted_media(contents: Contents) -> Media:
    """A file that was counted, for FFmpeg. Opus has no rate of its own, so that the count is in seconds there."""
    is_opus = contents.format.endswith("Opus")
    return Media(
        contents.format,
        _DEMUXERS[contents.format.split()[0]],
        Fraction(contents.num_samples, contents.sampling_rate),
        tolerance=Fraction(contents.tolerance, contents.sampling_rate),
        allows_a_frame=False,
        sampling_rate=None if is_opus else contents.sampling_rate,
        num_channels=contents.num_channels,
        remark=contents.remark,
        cut_short=contents.cut_tolerated,
    )


def _media_for_libav(data: bytes) -> Media:
    """What a file of a format that FFmpeg alone takes states.

    Raises:
        Reject: bad_audio; it is cut or contradicts itself, or nobody takes it.
    """
    media = media_of(data)
    if media is None:
        name = name_of(data)
        what = f"{name}, which melbeam does not take" if name else "of a format that melbeam does not know"
        raise Reject("bad_audio", f"{len(data)} bytes that cannot be decoded: {what}; convert it to FLAC")
    _check_installed(media.name)
    return media


def _check_installed(name: str) -> None:
    if not is_installed():
        raise Reject("bad_audio", f"{name} is decoded with {_EXTRA}, which is not installed here")


def _rate_of_plain_wav(data: bytes) -> int | None:
    """Hz of a WAV of mono 16-bit samples that is whole and has the one header that it can have, else None.

    Most corpora hold nothing else, and libsndfile takes several times longer to give the same samples.
    """
    size = len(data) - _PLAIN_HEADER
    rate = int.from_bytes(data[24:28], "little")
    if size <= 0 or size % 2 or size >= _MAX_PLAIN_SIZE or not MIN_RATE <= rate <= MAX_RATE:
        return None
    header = pcm.wav_header(pcm.fmt_of(pcm.integers(2), rate, channels=1), size)
    return rate if data.startswith(header) else None
