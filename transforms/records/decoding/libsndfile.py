"""Files that libsndfile decodes, block by block."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import soundfile

from melbeam.transforms.records.decoding.audio import BLOCK_VALUES, DecodedBlocks, DecoderError


class _Bytes(io.BytesIO):
    """A file that stays where it is when a lying header asks for a place before its beginning.

    The error would not reach libsndfile, which looks at the place that it gets, but be printed for every record.
    """

    def seek(self, offset: int, whence: int = 0, /) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:
            return self.tell()


class _ForwardFile(soundfile.SoundFile):
    """Read once, front to back: soundfile seeks after each block where it may, which a piped FLAC refuses."""

    def seekable(self) -> bool:
        return False


@contextmanager
def open_with_libsndfile(data: bytes) -> Iterator[DecodedBlocks]:
    """Opens a whole file.

    Raises:
        DecoderError: also while the blocks are read.
    """
    with _decoder_errors(len(data)):
        file = _ForwardFile(_Bytes(data))
    try:
        yield DecodedBlocks(file.samplerate, file.channels, _blocks(file, len(data)))
    finally:
        file.close()


def _blocks(file: soundfile.SoundFile, num_bytes: int) -> Iterator[np.ndarray]:
    num_frames = max(1, BLOCK_VALUES // file.channels)  # libsndfile zeroes what a file does not fill
    while True:
        with _decoder_errors(num_bytes):
            block = file.read(num_frames, dtype="float32", always_2d=True)
        if not len(block):
            return
        yield block


@contextmanager
def _decoder_errors(num_bytes: int) -> Iterator[None]:
    try:
        yield
    except (soundfile.SoundFileError, RuntimeError, OSError, ValueError, TypeError, OverflowError) as error:
        # Not str(error): it holds the address of our buffer, and the same input must give the same bytes.
        reason = getattr(error, "error_string", None) or type(error).__name__
        raise DecoderError(f"{num_bytes} bytes that cannot be decoded: {reason}") from error
