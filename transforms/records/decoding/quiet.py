"""Silences native libraries that print: they run in threads whose standard output and error lead nowhere.

mpg123, which libsndfile decodes MP3 with, prints a line on standard error for whatever it dislikes of a frame.
The descriptors 1 and 2 belong to the process, so turning them aside for a moment would swallow what other threads
print in that moment. Linux can give a thread a table of descriptors of its own (close_range(2), with
CLOSE_RANGE_UNSHARE, since Linux 5.9); elsewhere the call runs where it stands, and such lines are seen.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

Result = TypeVar("Result")

_CLOSE_RANGE = 436  # the system call's number, the same on every architecture; glibc has a name for it since 2.34
_CLOSE_RANGE_UNSHARE = 2
_ALL_DESCRIPTORS = 0xFFFFFFFF
_MAX_THREADS = 256  # a call waits where so many others run

_lock = threading.Lock()
_threads: ThreadPoolExecutor | None = None
_is_silent = threading.local()


def quietly(function: Callable[[], Result]) -> Result:
    """Calls a function, and discards what the libraries under it print; gives or raises what it does.

    The function must use no file or socket of the process: in its thread, they are closed. One that it opens is in
    that thread's table alone, so it must be closed before the function returns.
    """
    if not sys.platform.startswith("linux"):
        return function()
    global _threads
    with _lock:
        if _threads is None:
            _threads = ThreadPoolExecutor(_MAX_THREADS, "melbeam-decode", _leave_the_processes_descriptors)
        future = _threads.submit(_run, function)
    ran, result = future.result()
    return result if ran else function()


def _run(function: Callable[[], Result]) -> tuple[bool, Result]:
    if not getattr(_is_silent, "value", False):
        return False, None  # type: ignore[return-value]
    return True, function()


def _leave_the_processes_descriptors() -> None:
    """Gives this thread a table of descriptors of its own, in which all lead nowhere."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        if libc.syscall(_CLOSE_RANGE, 3, ctypes.c_uint(_ALL_DESCRIPTORS), _CLOSE_RANGE_UNSHARE) != 0:
            return
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(nowhere, standard)
        os.close(nowhere)
        _is_silent.value = True


def _forget_threads() -> None:
    """Starts anew in a forked child: it has none of its parent's threads, but perhaps a lock that one held."""
    global _lock, _threads
    _lock, _threads = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
