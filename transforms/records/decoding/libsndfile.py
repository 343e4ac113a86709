"""Files that libsndfile decodes, block by block."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import soundfile

from melbeam.transforms.records.decoding.audio import (
    BLOCK_VALUES,
    MAX_WHOLE_VALUES,
    DecodedBlocks,
    DecoderError,
)

# libsndfile asks for an MP3's bytes a few at a time, 200,000 times an hour of audio: each answer of a Python
# object costs more than a file's own, and waits for the Python of other threads.
_MPEG_SYNC = b"\xff"
_MAX_COPIED = 16 << 20  # bytes; a larger file is not held twice
_LAST_VALUES = 1 << 10  # of the block in which a clip's end shows; libsndfile zeroes what a file does not fill


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
def open_with_libsndfile(data: bytes, num_samples: int = 0) -> Iterator[DecodedBlocks]:
    """Opens a whole file.

    Args:
        data: the file.
        num_samples: a channel, that it is thought to hold. Where they are no more than `MAX_WHOLE_VALUES`, the
            first block is of so many.

    Raises:
        DecoderError: also while the blocks are read.
    """
    with _decoder_errors(len(data)):
        file = _ForwardFile(_source_of(data))
    try:
        yield DecodedBlocks(file.samplerate, file.channels, _blocks(file, num_samples, len(data)))
    finally:
        file.close()


def _source_of(data: bytes) -> int | _Bytes:
    """A descriptor of a file in memory, which whoever opens it closes, or an object that soundfile reads."""
    if data.startswith(_MPEG_SYNC) and len(data) <= _MAX_COPIED and hasattr(os, "memfd_create"):
        with suppress(OSError):  # the system has none, or too many are open
            return _descriptor_of(data)
    return _Bytes(data)


def _descriptor_of(data: bytes) -> int:
    """Writes a file to memory and gives a descriptor of it that stands at its beginning."""
    descriptor = os.memfd_create("melbeam")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(descriptor, 0, os.SEEK_SET)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _blocks(file: soundfile.SoundFile, num_samples: int, num_bytes: int) -> Iterator[np.ndarray]:
    sizes: Iterator[int] = itertools.repeat(max(1, BLOCK_VALUES // file.channels))
    if 0 < num_samples * file.channels <= MAX_WHOLE_VALUES:
        sizes = itertools.chain((num_samples, max(1, _LAST_VALUES // file.channels)), sizes)
    for num_frames in sizes:
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
