"""An object of a store as a file: few large requests, and the next one while what came is worked on."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

# Bytes of a request: of the first, since most of what is opened is small or looked at from its beginning alone;
# and of the largest, to which they grow where a file is read on.
_FIRST, _LARGEST, _GROWTH = 1 << 20, 16 << 20, 4


class StoreReader(io.RawIOBase):
    """An object, open for reading bytes; it may be read from any place on.

    A place a little behind what came, by less than a request, is reading on too: so do those who look at the
    headers of records alone. Only one thread may use it.

    Args:
        size: of the object, in bytes.
        fetch: gives so many bytes from an offset on; safe in threads.

    Reading raises what `fetch` raises, and OSError where it gives another number of bytes.
    """

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        self._size, self._fetch = size, fetch
        self._place = 0
        self._begin, self._block = 0, b""  # the bytes at hand, and where in the object they begin
        self._request = _FIRST
        self._ahead: tuple[range, Future[bytes]] | None = None  # which are being fetched
        self._thread: ThreadPoolExecutor | None = None

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The place from which is read next."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place; asks the store for nothing."""
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """So many bytes, or all for a negative number; fewer only at the object's end."""
        missing = max(0, self._size - self._place)
        missing = missing if size is None or size < 0 else min(size, missing)
        parts = []
        while missing:
            parts.append(self._next(missing))
            missing -= len(parts[-1])
        return b"".join(parts)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills the buffer, as far as the object goes."""
        size = min(len(buffer), max(0, self._size - self._place))
        filled = 0
        while filled < size:
            part = self._next(size - filled)
            buffer[filled : filled + len(part)] = part
            filled += len(part)
        return filled

    def close(self) -> None:
        """Lets go of what is at hand; what is being fetched is not waited for."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
        self._block, self._ahead = b"", None
        super().close()

    def _next(self, most: int) -> memoryview:
        """Some of the next bytes, one at least."""
        if self._place not in range(self._begin, self._begin + len(self._block)):
            self._take_block()
        start = self._place - self._begin
        part = memoryview(self._block)[start : start + most]
        self._place += len(part)
        return part

    def _take_block(self) -> None:
        """Takes the bytes from the place on; has the next ones fetched where it is not the first time in a row."""
        left_out = self._place - self._begin - len(self._block)
        reads_on = bool(self._block) and 0 <= left_out < self._request
        self._request = min(_GROWTH * self._request, _LARGEST) if reads_on else _FIRST
        if self._ahead is not None and self._place in self._ahead[0]:
            part, fetched = self._ahead
            self._begin, self._block = part.start, fetched.result()
        else:
            self._begin, self._block = self._place, self._fetched(self._from(self._place))
        behind = self._from(self._begin + len(self._block))
        self._ahead = None
        if reads_on and behind:
            self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="melbeam-ahead")
            self._ahead = behind, self._thread.submit(self._fetched, behind)

    def _from(self, place: int) -> range:
        """The bytes of a request from a place on."""
        return range(place, min(place + self._request, self._size))

    def _fetched(self, part: range) -> bytes:
        found = self._fetch(part.start, len(part))
        if len(found) != len(part):
            raise OSError(f"of {len(part)} bytes from byte {part.start} on, {len(found)} came")
        return found
