"""The bytes of a TFRecord file, seen through a buffer and inflated if need be, and the frames of its records.

What a frame is: `melbeam.transforms.records.tfrecord_frame`.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import Any

from apache_beam.io.filesystem import CompressedFile

from melbeam.transforms.records.tfrecord_frame import FOOTER, HEADER, length_of

BLOCK = 1 << 20  # 1 MiB, read at a time
_LARGEST_FILE = 1 << 50  # 1 PiB, above any object store's limit: what a stream of unknown size can't exceed
_LARGEST_RATIO = 1100  # a byte of DEFLATE inflates to 1032 at most (zlib's technical notes)
_STEP = 4 << 20  # 4 MiB, at most, that a buffer grows by before it is seen whether the file goes so far
_LARGE_BUFFER = 32 << 20  # 32 MiB: one that a record has made larger is given back behind it
_PROOF = 64 << 10  # 64 KiB: chance bytes don't inflate as far
_LENGTH_AND_CRC, _UINT32 = struct.Struct("<QI"), struct.Struct("<I")


def unchecked_length(header: bytes) -> int:
    """The length that a header gives, whatever its checksum; more than any file holds where it is cut."""
    return _LENGTH_AND_CRC.unpack(header)[0] if len(header) == HEADER else _LARGEST_FILE


class Window:
    """A file seen through a buffer that grows only as far as the file goes, and is used again."""

    def __init__(self, file: Any, block: int = BLOCK) -> None:
        self._file = file
        self._block = block  # bytes, read at a time
        self._buffer = bytearray()
        self._start = self._end = 0  # of what is read and still wanted, in the buffer
        self._ended = False
        self._error = ""
        self.offset = 0  # of the window in the file
        exact_size = _exact_size(file)
        self._seekable = exact_size is not None
        self.size_bound = _size_bound(file) if exact_size is None else exact_size  # bytes; it holds no more

    @property
    def error(self) -> str:
        """Why the file ended before its time, or nothing."""
        return self._error or getattr(self._file, "error", "")

    def peek(self, size: int) -> bytes:
        """The next bytes, fewer at the end of the file; they stay."""
        if size > self._end - self._start:
            self._fill(size)
        return self._bytes(self._start, min(size, self._end - self._start))

    def _bytes(self, start: int, size: int) -> bytes:
        with memoryview(self._buffer) as view:  # else it would be copied twice
            return bytes(view[start : start + size])

    def _fill(self, size: int) -> None:
        kept = self._end - self._start
        if len(self._buffer) > _LARGE_BUFFER and kept + max(size, self._block) < len(self._buffer) // 2:
            self._buffer = self._buffer[self._start : self._end]  # a large record is behind it
        else:
            self._buffer[:kept] = self._buffer[self._start : self._end]
        self._start, self._end = 0, kept
        while self._end < size and not self._ended:
            wanted = max(self._block, min(size - self._end, _STEP))
            if len(self._buffer) < self._end + wanted:
                self._buffer += bytes(self._end + wanted - len(self._buffer))
            try:
                found = self._read_into_buffer(wanted)
            except EOFError as error:  # how gzip.GzipFile says that it is cut
                self._error, found = f"the compressed file is cut: {error}", 0
            self._ended = not found
            self._end += found

    def _read_into_buffer(self, wanted: int) -> int:
        """Reads behind what is there; gives how many bytes came."""
        if hasattr(self._file, "readinto"):
            # Released here, since an error that a store's client caught may keep the frames below alive.
            with memoryview(self._buffer) as view, view[self._end : self._end + wanted] as part:
                return self._file.readinto(part)
        block = self._file.read(wanted)
        self._buffer[self._end : self._end + len(block)] = block
        return len(block)

    def has(self, size: int) -> bool:
        """Whether that many bytes follow; they are in the buffer then."""
        if not self.may_hold(size):
            return False
        if size > self._end - self._start:
            self._fill(size)
        return size <= self._end - self._start

    def frame(self, length: int, position: int = 0) -> tuple[bytes, int] | None:
        """Data and stored checksum of the record `position` bytes on, or None where the file ends first."""
        if not self.has(position + HEADER + length + FOOTER):
            return None
        start = self._start + position + HEADER
        return self._bytes(start, length), _UINT32.unpack_from(self._buffer, start + length)[0]

    def read_frame(self, length: int) -> tuple[bytes, int] | None:
        """Reads what `frame` gives, and goes on behind it."""
        frame = self.frame(length)
        if frame is not None:
            self._start += HEADER + length + FOOTER
            self.offset += HEADER + length + FOOTER
        return frame

    def may_hold(self, size: int) -> bool:
        """False where the file is known to end sooner."""
        return size <= self.size_bound - self.offset

    def skip(self, size: int) -> int:
        """Goes on by `size` bytes; gives how many there were."""
        buffered = self._end - self._start
        if self._seekable and size > buffered + self._block:
            there = min(size, self.size_bound - self.offset)
            self._file.seek(there - buffered, 1)
            self._start = self._end = 0
            self.offset += there
            return there
        left = size
        while left > 0:
            if self._start == self._end:
                self._fill(1)
            # All that is buffered at once, so that a long skip does not copy.
            step = min(left, self._end - self._start)
            if step == 0:
                break
            self._start += step
            self.offset += step
            left -= step
        return size - left

    def read(self, size: int) -> bytes:
        """The next bytes, fewer at the end of the file."""
        data = self.peek(size)
        self.skip(len(data))
        return data


class Inflating:
    """A GZIP or ZLIB stream as a file; inflates a block at a time, whatever it would come to."""

    def __init__(self, file: Window) -> None:
        self._file = file
        self._inflater = _inflater()
        self._pending = b""
        self.error = ""
        self.size_bound = min(_LARGEST_FILE, file.size_bound * _LARGEST_RATIO)

    def read(self, size: int) -> bytes:
        """The next inflated bytes; none at the end, and `error` is set where that came too soon."""
        while not self.error:
            if self._inflater.eof:
                # Zeros behind a member are padding, as for gzip; anything else is the next member.
                self._pending = (self._inflater.unused_data or self._file.read(BLOCK)).lstrip(b"\0")
                while not self._pending and (block := self._file.read(BLOCK)):
                    self._pending = block.lstrip(b"\0")
                if not self._pending:
                    return b""
                self._inflater = _inflater()
            compressed = self._pending or self._file.read(BLOCK)
            before = self._inflater.copy()
            try:
                inflated = self._inflater.decompress(compressed, size)
            except zlib.error as error:
                self.error = f"the compressed file is damaged before its byte {self._file.offset}: {error}"
                return _salvaged(before, compressed)
            self._pending = self._inflater.unconsumed_tail
            if inflated:
                return inflated
            if not compressed and not self._inflater.eof:
                self.error = f"the compressed file is cut at its byte {self._file.offset}"
        return b""


def _inflater() -> Any:
    return zlib.decompressobj(wbits=47)  # either header


def _salvaged(inflater: Any, compressed: bytes) -> bytes:
    """What comes out before the error that this input is known to give."""
    parts = []
    try:
        for i in range(len(compressed)):
            parts.append(inflater.decompress(compressed[i : i + 1]))
    except zlib.error:
        pass
    return b"".join(parts)


def _size_bound(file: Any) -> int:
    """What a file that cannot tell its size may hold from here on, in bytes."""
    return file.size_bound if isinstance(file, Inflating) else _LARGEST_FILE


def _exact_size(file: Any) -> int | None:
    """What a file holds from here on, in bytes; None where it cannot seek."""
    if isinstance(file, (Inflating, gzip.GzipFile, CompressedFile)):  # they seek to the end by inflating it all
        return None
    try:
        here = file.tell()
        end = file.seek(0, 2)
        end = file.tell() if end is None else end
        file.seek(here)
    except (AttributeError, OSError, ValueError):
        return None
    return end - here


def inflates(start: bytes) -> bool:
    """Whether this begins a GZIP or ZLIB stream, and is not a damaged length that looks like their magic.

    It is one if it inflates to a header that holds, or to `_PROOF` bytes, or to its end, without an error; one
    cut short must have come to the size of a header, or there is nothing to lose by keeping its bytes as they are.
    """
    zlib_header = len(start) >= 2 and start[0] == 0x78 and (start[0] * 256 + start[1]) % 31 == 0
    if not zlib_header and start[:2] != b"\x1f\x8b":
        return False
    inflater, inflated = _inflater(), bytearray()
    try:
        for i in range(len(start)):  # one by one, for what comes out together with an error is lost
            inflated += inflater.decompress(start[i : i + 1])
            if inflater.eof or len(inflated) >= _PROOF or length_of(bytes(inflated[:HEADER])) is not None:
                break
    except zlib.error:
        return False
    return inflater.eof or len(inflated) >= HEADER
