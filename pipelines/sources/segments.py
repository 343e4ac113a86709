"""Segments of long recordings, as WAV bytes of the same samples.

WAV and FLAC are read at the segment alone, by seeking. Any other format is decoded once and sliced, as long as the
files of a unit, decoded, take no more than `_DECODED_BYTES`. Both give the samples that decoding the whole file at
its own rate gives there.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import soundfile

from melbeam.pipelines import files
from melbeam.pipelines.sources.units import printable
from melbeam.transforms.records.audio_bounds import EACH
from melbeam.transforms.records.containers import pcm
from melbeam.transforms.records.decoding import decode_audio
from melbeam.transforms.records.rejects import Reject

# What is promised beyond a recording's end by rounding alone.
_END_TOLERANCE = 0.1  # seconds
# A segment that begins and ends so near where its recording does is all of it.
NEAR = 1e-4  # seconds
_SEEKABLE = ("WAV", "WAVEX", "RF64", "FLAC")
_SIXTEEN_BITS = ("PCM_16", "PCM_S8", "PCM_U8")
_CHECKED_FRAMES = 1024  # of the end of a FLAC, which a cut one has not
# Kept between segments of one unit, whose rows need not be sorted by file.
_OPEN_FILES, _DECODED_BYTES = 16, 256 << 20  # 256 MiB: an hour and more at 16 kHz
_RATE = 16_000  # Hz, asked of a file before its own rate is known


class Recordings:
    """The files that segments lie in; the last ones stay open, or decoded.

    Args:
        max_bytes: of a file that is decoded whole; one that is read by seeking may be of any size.
        open_file: gives the file of a path, open for reading bytes.
    """

    def __init__(self, max_bytes: int, open_file: Callable[[str], Any] = files.open_file) -> None:
        self._max_bytes = max_bytes
        self._open_file = open_file
        self._recordings: OrderedDict[str, _Seekable | _Decoded | Reject] = OrderedDict()

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

    def _recording(self, path: str) -> _Seekable | _Decoded:
        if path not in self._recordings:
            self._recordings[path] = self._open(path)
            while len(self._recordings) > 1 and (
                len(self._recordings) > _OPEN_FILES
                or sum(map(_num_bytes, self._recordings.values())) > _DECODED_BYTES
            ):
                self._forget_oldest()
        self._recordings.move_to_end(path)
        recording = self._recordings[path]
        if isinstance(recording, Reject):
            raise Reject(recording.reason, recording.detail)
        return recording

    def _forget_oldest(self) -> None:
        _, recording = self._recordings.popitem(last=False)
        if isinstance(recording, _Seekable):
            recording.close()

    def _open(self, path: str) -> _Seekable | _Decoded | Reject:
        file = self._open_file(path)
        try:
            opened = soundfile.SoundFile(_Unnamed(file))
        except soundfile.SoundFileError:
            opened = None
        try:
            if opened is not None and opened.format in _SEEKABLE:
                return _Seekable(path, file, opened)
            rate = None if opened is None else opened.samplerate
            file.seek(0)
            data = file.read(self._max_bytes + 1)
            if len(data) > self._max_bytes:
                raise Reject("over_limit", f"{printable(path)} has more than {self._max_bytes} bytes")
            decoded = _Decoded(data, rate)
        except Reject as reject:  # of every segment of the file
            file.close()
            return reject
        file.close()
        return decoded


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


def _num_bytes(recording: _Seekable | _Decoded | Reject) -> int:
    """Bytes of memory that a recording takes beyond a block."""
    return recording.num_bytes if isinstance(recording, _Decoded) else 0


class _Unnamed:
    """A file without its name, from which soundfile would take that a `.raw` one has no header."""

    def __init__(self, file: Any) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


class _Seekable:
    """A WAV or a FLAC, read where it is asked for."""

    def __init__(self, path: str, file: Any, opened: soundfile.SoundFile) -> None:
        self._path, self._file, self._opened = path, file, opened
        self.rate, self.num_frames = opened.samplerate, opened.frames
        self._dtype = "int16" if opened.subtype in _SIXTEEN_BITS else "float32"
        self._check_is_whole()

    def _check_is_whole(self) -> None:
        """Reads the file's end, once for all its segments.

        Raises:
            Reject: it was cut.
        """
        if self._opened.format == "FLAC":
            start = max(0, self.num_frames - _CHECKED_FRAMES)
            try:
                self.read(start, self.num_frames)
            except Reject as reject:
                raise Reject(
                    "bad_audio", f"{printable(self._path)} is cut or damaged: {reject.detail}"
                ) from reject
            return
        promised = _promised_wav_bytes(self._file)
        if promised is not None:
            offset, size = promised
            there = self._file.seek(0, 2) - offset
            if size > there and pcm.size_or_open(size, there) is not None:
                raise Reject(
                    "bad_audio",
                    f"a cut WAV: the header of {printable(self._path)} promises {size} bytes, {there} are there",
                )

    def read(self, first: int, last: int, channel: int | None = None) -> bytes:
        try:
            self._opened.seek(first)
            samples = self._opened.read(last - first, dtype=self._dtype, always_2d=True)
        except (soundfile.SoundFileError, RuntimeError) as error:
            why = getattr(error, "error_string", None) or type(error).__name__
            raise Reject("bad_audio", f"the segment cannot be decoded: {why}") from error
        if len(samples) < last - first:
            raise Reject("bad_audio", f"of the segment's {last - first} samples {len(samples)} can be decoded")
        return wav_bytes(_of_channel(samples, channel), self.rate)

    def close(self) -> None:
        self._opened.close()
        self._file.close()


class _Decoded:
    """Another format, decoded whole, at its own rate, each channel by itself: which are taken is decided later."""

    def __init__(self, data: bytes, rate: int | None) -> None:
        audio = decode_audio(data, sampling_rate=rate or _RATE, channel=EACH)
        if audio.resampled:  # only decoding tells the rate of what libsndfile does not open
            audio = decode_audio(data, sampling_rate=audio.source_rate, channel=EACH)
        self.rate, self.num_frames = audio.source_rate, len(audio.samples)
        self._samples = audio.samples

    @property
    def num_bytes(self) -> int:
        """What it takes of memory."""
        return self._samples.nbytes

    def read(self, first: int, last: int, channel: int | None = None) -> bytes:
        return wav_bytes(_of_channel(self._samples, channel)[first:last], self.rate)


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


def _promised_wav_bytes(file: Any) -> tuple[int, int] | None:
    """Returns where a WAV's samples begin and how many bytes its header promises; None where it is no RIFF."""
    file.seek(0)
    head = file.read(12)
    if head[:4] != b"RIFF":
        return None
    position = 12
    while len(chunk := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", chunk)
        position += 8
        if name == b"data":
            return position, size
        position += size + size % 2
        file.seek(position)
    return None


def wav_bytes(samples: np.ndarray, rate: int) -> bytes:
    """`[num_frames, num_channels]`, int16 or float32, as a WAV; equal samples are equal bytes."""
    encoding = pcm.integers(2) if samples.dtype == np.int16 else pcm.floats(4)
    data = samples.astype(samples.dtype.newbyteorder("<"), copy=False).tobytes()
    return pcm.wav(pcm.fmt_of(encoding, rate, samples.shape[1]), data)
