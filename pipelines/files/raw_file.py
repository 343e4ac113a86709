"""Files of any file system as Python's own classes want them: for buffering, decompressing, and pyarrow."""

from __future__ import annotations

import io
from typing import Any

_GZIP = b"\x1f\x8b"


def begins_as_gzip(file: io.BufferedReader[Any]) -> bool:
    """Whether a file that stands at its beginning is compressed by GZIP; it stays where it stands."""
    return file.peek(len(_GZIP))[: len(_GZIP)] == _GZIP


class RawFile(io.RawIOBase):
    """A file of any file system as Python's own buffering wants one."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Reads into a buffer."""
        if hasattr(self._file, "readinto"):  # a local file, which saves a copy
            return self._file.readinto(buffer)
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """Reads up to so many bytes, all for a negative number; without the copies that `RawIOBase` makes."""
        return self._file.read() if size is None or size < 0 else self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Goes to a place."""
        self._file.seek(offset, whence)
        return self._file.tell()

    def tell(self) -> int:
        """The place."""
        return self._file.tell()
