"""A file that is written to a store while what follows is computed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

_BLOCK = 8 << 20  # 8 MiB; at most two of them are at hand


class StoreWriter:
    """Writes to a file of a store's client from a thread of its own, in order.

    What goes wrong is raised by a later call, `close` at the latest. Only one thread may use it.

    Args:
        file: the client's, open for writing.
        close_empty: closes it where nothing was written.
    """

    def __init__(self, file: Any, close_empty: Callable[[], None]) -> None:
        self._file, self._close_empty = file, close_empty
        self._block = bytearray()
        self._written: Future[Any] | None = None  # the block before
        self._thread: ThreadPoolExecutor | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Takes a copy of the bytes; waits only where the store is two blocks behind."""
        self._block += data
        if len(self._block) >= _BLOCK:
            self._wait()
            self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="melbeam-behind")
            self._written = self._thread.submit(self._file.write, self._block)
            self._block = bytearray()
        return memoryview(data).nbytes

    def close(self) -> None:
        """Waits until the store has all of it."""
        try:
            self._wait()
        finally:
            if self._thread is not None:
                self._thread.shutdown()
        if self._block:
            self._file.write(self._block)
        elif self._thread is None:
            self._close_empty()
            return
        self._file.close()

    def _wait(self) -> None:
        if self._written is not None:
            self._written.result()  # an error again and again, so that no file is closed that lacks a block
            self._written = None
