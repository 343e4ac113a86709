"""Segments of long recordings, as WAV bytes of the same samples.

A WAV is read at the segment alone, where its header tells where its samples lie. Of a FLAC the bytes are held, its
frames are counted, and it is decoded at the segment. Any other file is decoded once and sliced. Files that take
more than `_HELD_BYTES` together are not held at once. All give the samples that decoding the whole file at its own
rate gives there; a file that is cut has no segments.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Protocol

import numpy as np
import soundfile

from melbeam.pipelines import files
from melbeam.pipelines.sources.units import printable
from melbeam.transforms.records.audio_bounds import EACH
from melbeam.transforms.records.containers import InPlace, Part, inspect, name_of, pcm, samples_in_place
from melbeam.transforms.records.decoding import decode_audio
from melbeam.transforms.records.rejects import Reject

# What is promised beyond a recording's end by rounding alone.
_END_TOLERANCE = 0.1  # seconds
# A segment that begins and ends so near where its recording does is all of it.
NEAR = 1e-4  # seconds
_SIXTEEN_BITS = ("PCM_16", "PCM_S8", "PCM_U8")
_CHECKED_FRAMES = 1024  # of the end of a FLAC, which a cut one has not
# Kept between segments of one unit, whose rows need not be sorted by file.
_OPEN_FILES, _HELD_BYTES = 16, 256 << 20  # 256 MiB: an hour and more at 16 kHz
_RATE = 16_000  # Hz, asked of a file before its own rate is known
_HEADS = (64 << 10, 1 << 20)  # bytes in which a WAV's header is looked for: 64 KiB, then 1 MiB


class Recordings:
    """The files that segments lie in; the last ones stay open, or decoded.

    Args:
        max_bytes: of a file that is held whole; a WAV or a FLAC that is read by seeking may be of any size.
        open_file: gives the file of a path, open for reading bytes.
    """

    def __init__(self, max_bytes: int, open_file: Callable[[str], Any] = files.open_file) -> None:
        self._max_bytes = max_bytes
        self._open_file = open_file
        self._recordings: OrderedDict[str, _Recording | Reject] = OrderedDict()

    def seconds(self, path: str) -> float:
        """How long a file lasts.

        Raises:
            Reject: it cannot be decoded.
            OSError: the file is not there, or cannot be read.
        """
        recording = self._recording(path)
        return recording.num_frames / recording.rate

    def segment(self, path: str, start: float, end: float | None, channel: int | None = None) -> bytes:
        """A segment of a file, `[start, end)` in seconds, as a WAV of the file's rate; of one channel, or of all.

        Raises:
            Reject: bad_audio, bad_row or another of decoding.
            OSError: the file is not there, or cannot be read.
        """
        recording = self._recording(path)
        first, last = frames_of(start, end, recording.rate, recording.num_frames, printable(path))
        return recording.read(first, last, channel)

    def close(self) -> None:
        """Closes all files that are open."""
        while self._recordings:
            self._forget_oldest()

    def _recording(self, path: str) -> _Recording:
        if path not in self._recordings:
            self._recordings[path] = self._open(path)
            while len(self._recordings) > 1 and (
                len(self._recordings) > _OPEN_FILES
                or sum(map(_num_bytes, self._recordings.values())) > _HELD_BYTES
            ):
                self._forget_oldest()
        self._recordings.move_to_end(path)
        recording = self._recordings[path]
        if isinstance(recording, Reject):
            raise Reject(recording.reason, recording.detail)
        return recording

    def _forget_oldest(self) -> None:
        _, recording = self._recordings.popitem(last=False)
        if not isinstance(recording, Reject):
            recording.close()

    def _open(self, path: str) -> _Recording | Reject:
        file = self._open_file(path)
        try:
            recording = self._opened(path, file)
        except Reject as reject:  # of every segment of the file
            file.close()
            return reject
        if not recording.reads_file:
            file.close()
        return recording

    def _opened(self, path: str, file: Any) -> _Recording:
        size = file.seek(0, 2)
        for num_bytes in _HEADS:
            head = _bytes_at(file, 0, num_bytes)
            place = samples_in_place(head, size, partial(_bytes_at, file))
            if place is not None:
                return _Wav(file, place)
            if size <= num_bytes:
                break
        is_flac = name_of(head) == "FLAC"
        if size > self._max_bytes and is_flac:
            return _Flac(path, file, None)
        data = _bytes_at(file, 0, self._max_bytes + 1)
        if len(data) > self._max_bytes:
            raise Reject("over_limit", f"{printable(path)} has more than {self._max_bytes} bytes")
        contents = inspect(data) if is_flac else None
        if contents is not None and contents.parts is not None and contents.num_samples:
            with suppress(Reject):  # of a FLAC that cannot be sought in, though it can be read, or that is damaged
                return _Flac(path, file, contents.parts[0])
        return _Decoded(data)


def frames_of(start: float, end: float | None, rate: int, num_frames: int, where: str) -> tuple[int, int]:
    """The first frame of a segment, in seconds, of a recording, and the one behind its last.

    Raises:
        Reject: bad_row, it does not lie in the recording, which is named as `where`.
    """
    first = round(start * rate)
    last = num_frames if end is None else round(end * rate)
    if first >= last or first >= num_frames or last - num_frames > _END_TOLERANCE * rate:
        raise Reject(
            "bad_row",
            f"the segment from {start:g} s to {'the end' if end is None else f'{end:g} s'} does not lie in "
            f"{where}, which lasts {num_frames / rate:.3f} s",
        )
    return first, min(last, num_frames)


def _num_bytes(recording: _Recording | Reject) -> int:
    """Bytes of memory that a recording takes beyond a block."""
    return 0 if isinstance(recording, Reject) else recording.num_bytes


def _bytes_at(file: Any, start: int, num_bytes: int) -> bytes:
    file.seek(start)
    return file.read(num_bytes) if num_bytes else b""


class _Recording(Protocol):
    """A file of which segments are read.

    Attributes:
        rate: Hz.
        num_frames: that it has.
        num_bytes: of memory that it takes beyond a block.
        reads_file: whether the file is to stay open for it.
    """

    rate: int
    num_frames: int
    num_bytes: int
    reads_file: bool

    def read(self, first: int, last: int, channel: int | None = None) -> bytes:
        """Frames from one to before another, as a WAV.

        Raises:
            Reject: they cannot be decoded, or there is no such channel.
        """
        ...

    def close(self) -> None:
        """Closes what is open."""
        ...


class _Wav:
    """A WAV whose samples lie where its header says; those of a segment are read, and no others.

    libsndfile is asked once what the samples are. Those of 16 bits are taken as they lie, which is what it would
    give; of others it opens each segment.
    """

    num_bytes, reads_file = 0, True

    def __init__(self, file: Any, place: InPlace) -> None:
        self._file, self._place = file, place
        self.rate, self.num_frames = place.rate, place.num_samples
        one_frame = place.wav(bytes(place.num_bytes))
        with _decoder_rejects(), soundfile.SoundFile(io.BytesIO(one_frame)) as opened:
            self._num_channels = opened.channels
            self._is_as_it_lies = opened.subtype == "PCM_16" and place.num_bytes == 2 * opened.channels

    def read(self, first: int, last: int, channel: int | None = None) -> bytes:
        size = self._place.num_bytes
        data = _bytes_at(self._file, self._place.start + first * size, (last - first) * size)
        if not self._is_as_it_lies:
            with _decoder_rejects(), soundfile.SoundFile(io.BytesIO(self._place.wav(data))) as opened:
                return _frames(opened, 0, last - first, channel)
        _check_count(len(data) // size, last - first)
        samples = np.frombuffer(data, f"{self._place.order}i2").astype(np.int16, copy=False)
        return wav_bytes(_of_channel(samples.reshape(-1, self._num_channels), channel), self.rate)

    def close(self) -> None:
        self._file.close()


class _Flac:
    """A FLAC, decoded where it is asked for.

    Args:
        path: of the file.
        file: open for reading bytes.
        part: its bytes, of which the frames were counted; None for a file that is too large to be held, in which
            frames that are missing are not told.
    """

    def __init__(self, path: str, file: Any, part: Part | None) -> None:
        self._file = file if part is None else io.BytesIO(part.data)
        self.reads_file, self.num_bytes = part is None, 0 if part is None else len(part.data)
        self._file.seek(0)
        with _decoder_rejects():
            self._opened = soundfile.SoundFile(_Unnamed(self._file))
        self.rate = self._opened.samplerate
        self.num_frames = self._opened.frames if part is None else part.num_samples
        try:  # its end, once for all segments, since what is inside of the last frame is not counted
            self.read(max(0, self.num_frames - _CHECKED_FRAMES), self.num_frames)
        except Reject as reject:
            raise Reject("bad_audio", f"{printable(path)} is cut or damaged: {reject.detail}") from reject

    def read(self, first: int, last: int, channel: int | None = None) -> bytes:
        with _decoder_rejects():
            return _frames(self._opened, first, last, channel)

    def close(self) -> None:
        self._opened.close()
        self._file.close()


@contextmanager
def _decoder_rejects() -> Iterator[None]:
    """Makes what libsndfile says of a file a reject of the segment."""
    try:
        yield
    except (soundfile.SoundFileError, RuntimeError) as error:
        why = getattr(error, "error_string", None) or type(error).__name__
        raise Reject("bad_audio", f"the segment cannot be decoded: {why}") from error


def _frames(opened: soundfile.SoundFile, first: int, last: int, channel: int | None) -> bytes:
    """Frames of an open file, as a WAV: 16-bit samples where it holds no more, else float32."""
    opened.seek(first)
    dtype = "int16" if opened.subtype in _SIXTEEN_BITS else "float32"
    samples = opened.read(last - first, dtype=dtype, always_2d=True)
    _check_count(len(samples), last - first)
    return wav_bytes(_of_channel(samples, channel), opened.samplerate)


def _check_count(there: int, asked: int) -> None:
    """Refuses a segment of which less is there than was asked for, as of a file that was cut since it was opened.

    Raises:
        Reject: bad_audio.
    """
    if there < asked:
        raise Reject("bad_audio", f"of the segment's {asked} samples {there} can be decoded")


class _Unnamed:
    """A file without its name, from which soundfile would take that a `.raw` one has no header."""

    def __init__(self, file: Any) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


class _Decoded:
    """Another format, decoded whole, at its own rate, each channel by itself: which are taken is decided later."""

    reads_file = False

    def __init__(self, data: bytes) -> None:
        try:
            rate = soundfile.info(io.BytesIO(data)).samplerate
        except soundfile.SoundFileError:
            rate = _RATE
        audio = decode_audio(data, sampling_rate=rate, channel=EACH)
        if audio.resampled:  # only decoding tells the rate of what libsndfile does not open
            audio = decode_audio(data, sampling_rate=audio.source_rate, channel=EACH)
        self.rate, self.num_frames = audio.source_rate, len(audio.samples)
        self._samples, self.num_bytes = audio.samples, audio.samples.nbytes

    def read(self, first: int, last: int, channel: int | None = None) -> bytes:
        return wav_bytes(_of_channel(self._samples, channel)[first:last], self.rate)

    def close(self) -> None:
        """Nothing is open."""


def _of_channel(samples: np.ndarray, channel: int | None) -> np.ndarray:
    """`[num_frames, num_channels]` to one channel of it, or to all.

    Raises:
        Reject: bad_row, there is no such channel.
    """
    if channel is None:
        return samples
    if not 0 <= channel < samples.shape[1]:
        raise Reject("bad_row", f"channel {channel} is asked for, and the file has {samples.shape[1]}")
    return samples[:, channel : channel + 1]


def wav_bytes(samples: np.ndarray, rate: int) -> bytes:
    """`[num_frames, num_channels]`, int16 or float32, as a WAV; equal samples are equal bytes."""
    encoding = pcm.integers(2) if samples.dtype == np.int16 else pcm.floats(4)
    data = samples.astype(samples.dtype.newbyteorder("<"), copy=False).tobytes()
    return pcm.wav(pcm.fmt_of(encoding, rate, samples.shape[1]), data)
