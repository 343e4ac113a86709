"""Files that FFmpeg's libraries decode, through PyAV, which comes with the extra `media`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from melbeam.transforms.records.containers import flac_digest
from melbeam.transforms.records.decoding.audio import (
    BLOCK_VALUES,
    Audio,
    DecodedBlocks,
    DecoderError,
    MonoStream,
    Request,
)
from melbeam.transforms.records.decoding.media.stated import Media

# What may be decoded, also while FFmpeg looks into a file for its streams: no pictures, no games' formats.
_CODECS = (
    "aac",
    "ac3",
    "alac",
    "amrnb",
    "amrwb",
    "eac3",
    "flac",
    "libopencore_amrnb",
    "libopencore_amrwb",
    "libspeex",
    "mp1float",
    "mp2float",
    "mp3float",
    "opus",
    "pcm_alaw",
    "pcm_f32le",
    "pcm_mulaw",
    "pcm_s16be",
    "pcm_s16le",
    "pcm_s24be",
    "pcm_s24le",
    "pcm_s32le",
    "pcm_u8",
    "speex",
    "vorbis",
    "wmalossless",
    "wmapro",
    "wmav1",
    "wmav2",
)
# FFmpeg's own decoders of AMR fail on the pauses that a coder leaves out; these, which come of the standard's own
# code, fill them in, where FFmpeg was built with them: PyAV's wheels had them up to 18.
_BETTER_DECODERS = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb"}
_LOSSLESS = ("alac", "flac", "pcm_", "wmalossless")
_MIN_GAP = 0.003  # s; containers round times to a millisecond, and live recordings jitter by parts of a frame
_ROUNDING = 0.001  # s
_CHECKED = ("flac", "ac3", "eac3")  # their frames carry checksums, which FFmpeg checks where it is told to


@dataclass
class LibavClip(DecodedBlocks):
    """A clip that FFmpeg has opened.

    Attributes:
        is_lossless: whether its codec gives what it was given, with no delay of its own.
        long_frame: samples of a long frame of a codec that has frames of two lengths, in any order; 0 for others.
        longest_frame: samples of the longest frame among the blocks so far.
    """

    is_lossless: bool
    long_frame: int = 0
    longest_frame: int = 0


def decode(data: bytes, media: Media, request: Request) -> Audio:
    """Decodes a whole file in this process, and holds it against what it states.

    Raises:
        Reject: bad_audio, empty_audio, not_finite, out_of_range, rate_mismatch or over_limit.
        DecoderError: FFmpeg fails, or gives another number of samples than the file holds.
    """
    try:
        return _decode(data, media, request)
    except DecoderError as error:
        if media.remark and media.remark not in str(error):
            raise DecoderError(f"{media.name}: {media.remark}; {error}") from error
        raise


def _decode(data: bytes, media: Media, request: Request) -> Audio:
    digest = flac_digest(data) if request.check_md5 else None
    stream: MonoStream | None = None
    with open_with_libav(data[media.start : media.end], media.demuxer, has_times=media.has_times) as opened:
        is_doubled = media.may_double and opened.sampling_rate == 2 * (media.sampling_rate or 0)
        if not is_doubled or opened.num_channels > 2 * (media.num_channels or 2):
            opened.check_kind(media.name, media.sampling_rate, media.num_channels)
        stream = request.stream(opened)
        rate = opened.sampling_rate
        promised = None if media.seconds is None else round(media.seconds * rate)
        if promised is not None:
            stream.check_length(promised)
        decoded = 0
        for block in opened.blocks:
            if digest is not None:
                digest.update(block)
            keep = max(0, promised - decoded) if media.is_trimmed and promised is not None else len(block)
            stream.write(as_float32(block[:keep]))
            decoded += len(block)
        tolerance = round(media.tolerance * rate)
        if media.allows_a_frame and not opened.is_lossless:
            tolerance += opened.longest_frame
    is_short = media.is_trimmed and promised is not None and decoded + round(media.tolerance * rate) < promised
    if promised is not None and (is_short or abs(decoded - promised) > tolerance):
        remark = f"{media.remark}; " if media.remark else ""
        raise DecoderError(f"{media.name}: {remark}it holds {promised} samples a channel, PyAV decodes {decoded}")
    if digest is not None:
        digest.check()
    return stream.audio(cut_short=media.cut_short)


@contextmanager
def open_with_libav(data: bytes, demuxer: str, *, has_times: bool = False) -> Iterator[LibavClip]:
    """Opens a whole file by FFmpeg's demuxer of that name, and its first stream of audio.

    The demuxer is given: FFmpeg's own guess would reach formats that read other files.

    Args:
        data: a whole file.
        demuxer: FFmpeg's name of one.
        has_times: whether the times of the frames must follow each other, which shows what is missing in between.

    Raises:
        DecoderError: also while the blocks are read.
    """
    import av

    whitelists = {
        "format_whitelist": av.format.ContainerFormat(demuxer, "r").name,
        "codec_whitelist": ",".join(_CODECS),
        "protocol_whitelist": "none",
    }
    # Tags in another encoding are no fault of the audio; PyAV 19 takes them by itself, and has no such argument.
    tags: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
    with _decoder_errors(len(data)):
        container = av.open(io.BytesIO(data), format=demuxer, container_options=whitelists, **tags)
    try:
        with _decoder_errors(len(data)):
            codec, stream = _audio_of(container)
            frames = _frames(av, container, codec, stream)
            first = next(frames, None)
        if first is None:
            raise DecoderError("PyAV decodes no samples")
        clip = LibavClip(first.sample_rate, first.layout.nb_channels, iter(()), codec.name.startswith(_LOSSLESS))
        clip.long_frame = _long_frame_of_vorbis(codec.extradata or b"") if codec.name == "vorbis" else 0
        clip.blocks = _blocks(clip, first, frames, has_times, len(data))
        yield clip
    finally:
        container.close()


def as_float32(block: np.ndarray) -> np.ndarray:
    """A block as FFmpeg gave it, floats or left-justified int32, at full scale 1."""
    return block if block.dtype == np.float32 else block.astype(np.float32) * np.float32(2.0**-31)


def _audio_of(container: Any) -> tuple[Any, Any]:
    """The first stream of audio and its decoder."""
    if not container.streams.audio:
        raise DecoderError("PyAV finds no audio in it")
    stream = container.streams.audio[0]
    codec = stream.codec_context
    if codec is None or codec.name not in _CODECS:
        what = "a codec that FFmpeg does not know" if codec is None else f"the codec {codec.name}"
        raise DecoderError(f"its audio is of {what}, which is not taken: convert it to FLAC")
    return codec, stream


def _long_frame_of_vorbis(headers: bytes) -> int:
    """Samples that two long blocks give, by the first of the headers (Vorbis I, section 4.2.2); 0 without one."""
    sizes = headers[headers.find(b"\x01vorbis") :][28:29]
    return 1 << (sizes[0] >> 4) >> 1 if sizes else 0


def _frames(av: Any, container: Any, codec: Any, stream: Any) -> Iterator[Any]:
    if codec.name in _CHECKED:
        codec.options = {"err_detect": "crccheck+explode"}
    better = _BETTER_DECODERS.get(codec.name)
    if better in av.codecs_available:
        chosen = av.CodecContext.create(better, "r")
        chosen.sample_rate, chosen.layout = codec.sample_rate, codec.layout
        codec = chosen
    codec.thread_count = 1  # the job has its own threads
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise DecoderError(f"PyAV finds a packet of {packet.size} bytes that is cut or damaged")
        yield from codec.decode(packet)


def _blocks(
    clip: LibavClip, first: Any, frames: Iterator[Any], has_times: bool, num_bytes: int
) -> Iterator[np.ndarray]:
    """Frames, which are short, in blocks of about `BLOCK_VALUES`: float32 or left-justified int32."""
    kind = (clip.sampling_rate, clip.num_channels, first.format.name)
    gathered: list[np.ndarray] = []
    frame: Any = first
    before: Any = first
    size = 0
    expected: float | None = None  # seconds at which the next frame begins
    while frame is not None:
        found = (frame.sample_rate, frame.layout.nb_channels, frame.format.name)
        if found != kind:
            raise DecoderError(f"{kind[0]} Hz, {kind[1]} channels, {kind[2]} become {found} within one stream")
        seconds = frame.samples / frame.sample_rate
        clip.longest_frame = max(clip.longest_frame, frame.samples)
        if has_times and frame.pts is not None:
            time = float(frame.pts * frame.time_base)
            # mkvmerge has the times of Vorbis' short and long frames one packet late, which is half a long frame,
            # rounded. Other codecs keep one length, but for a first frame that an edit cuts: one that a damaged
            # byte makes shorter leaves a gap.
            is_usual = clip.long_frame or before is first or before.samples == clip.longest_frame
            half = max(clip.long_frame, clip.longest_frame) / 2 if is_usual else 0
            slack = max(_MIN_GAP, half / frame.sample_rate + _ROUNDING)
            if expected is not None and abs(time - expected) > slack:
                raise DecoderError(f"a gap: {expected:.3f} s are followed by {time:.3f} s")
            expected = time
        if expected is not None:
            expected += seconds
        before = frame
        gathered.append(_samples(frame, kind[1]))
        size += gathered[-1].size
        if size >= BLOCK_VALUES:
            yield np.concatenate(gathered)
            gathered, size = [], 0
        with _decoder_errors(num_bytes):
            frame = next(frames, None)
    if gathered:
        yield np.concatenate(gathered)


def _samples(frame: Any, num_channels: int) -> np.ndarray:
    """`[num_samples, num_channels]`, float32 at full scale 1 or left-justified int32."""
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(-1, num_channels)
    if values.dtype == np.uint8:
        return (values.astype(np.int32) - 128) << 24
    if values.dtype == np.int16:
        return values.astype(np.int32) << 16
    return values.astype(np.float32, copy=False) if values.dtype.kind == "f" else values


@contextmanager
def _decoder_errors(num_bytes: int) -> Iterator[None]:
    import av

    try:
        yield
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise DecoderError(f"PyAV cannot decode these {num_bytes} bytes: {reason}") from error
