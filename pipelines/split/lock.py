"""One job at a time on a split: a lock file with a heartbeat, on any of Beam's file systems.

On a local file system, network ones included, of any number of jobs that start at once one has it. An object
store cannot create a file only if it is not there, at least through Beam: there each writes, waits, and the one
whose lock stayed goes on. A job that finds its lock another's ends its process, so that two never write.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
import uuid
from contextlib import suppress
from types import TracebackType
from typing import Any

from melbeam.pipelines import files
from melbeam.pipelines.exit_status import EXIT_FAILED
from melbeam.transforms.folder_layout import HALF_WRITTEN, SplitFolder

BEAT_SECONDS = 20.0
STALE_SECONDS = 180.0  # without a beat: its holder is gone
_SETTLE_SECONDS = 2.0  # on an object store: more than lies between a look at the lock and its writing
_FIELDS = {"token": str, "host": str, "pid": int, "started": float, "beat": float}


class Locked(ValueError):
    """Another job is at work on the split."""


class SplitLock:
    """Held while its `with` block runs; refreshed by a thread, so that a lock without a beat is a dead job's.

    A dead job's lock is taken over: at once where its process was on this machine and is gone, else when its
    beat is three minutes old.

    Args:
        folder: of the split.

    Raises:
        Locked: on entering, where another job holds it.
    """

    def __init__(self, folder: SplitFolder) -> None:
        self._path, self._guard = folder.lock, folder.lock_guard
        self._output, self._split = folder.output, folder.split
        self._token = uuid.uuid4().hex
        self._started = time.time()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="melbeam-lock")

    def __enter__(self) -> SplitLock:
        files.ensure_folder(self._path)
        if files.is_local(self._path):
            if not _create(self._path, self._content()):
                self._take_over()
        else:
            self._refuse_a_living_holder()
            self._write()
            time.sleep(_SETTLE_SECONDS)
            self._refuse_a_living_holder()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        if self._read().get("token") == self._token:
            files.delete([self._path])

    def _take_over(self) -> None:
        """Takes a dead job's lock; of several that find it dead, the one that made the guard."""
        self._refuse_a_living_holder()
        guard = self._guard
        if not _create(guard, self._content()):
            if is_alive(read_lock(guard)):
                raise Locked(f"another job is just taking split {self._split!r} of {self._output} over: {guard}")
            files.delete([guard])
            if not _create(guard, self._content()):
                raise Locked(f"another job is just taking split {self._split!r} of {self._output} over: {guard}")
        try:
            self._refuse_a_living_holder()  # who was quicker, and has removed its guard already
            self._write()
        finally:
            files.delete([guard])

    def _refuse_a_living_holder(self) -> None:
        holder = self._read()
        if holder.get("token") in (None, self._token) or not is_alive(holder):
            return
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder["started"]))
        raise Locked(
            f"another job is at work on split {self._split!r} of {self._output}: process {holder['pid']} on "
            f"{holder['host']}, since {since}. Wait for it, or end it; its lock is {self._path}"
        )

    def _content(self) -> dict[str, Any]:
        return {
            "token": self._token,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": self._started,
            "beat": time.time(),
        }

    def _write(self) -> None:
        files.write_json(self._path, self._content())

    def _read(self) -> dict[str, Any]:
        return read_lock(self._path)

    def _beat(self) -> None:
        while not self._stopped.wait(BEAT_SECONDS):
            with suppress(OSError):  # the next beat may pass; the job itself says what is wrong with its folder
                holder = self._read()
                if holder.get("token", self._token) != self._token:
                    self._end_the_process(holder)
                self._write()

    def _end_the_process(self, holder: dict[str, Any]) -> None:
        """As a crash, which every step of a job allows for: nothing of it may be written any more."""
        print(
            f"melbeam: process {holder.get('pid')} on {holder.get('host')} has taken split {self._split!r} of "
            f"{self._output} over, since this one gave no sign of life for {STALE_SECONDS:.0f} s: it ends",
            file=sys.stderr,
            flush=True,
        )
        os._exit(EXIT_FAILED)


def _create(path: str, content: dict[str, Any]) -> bool:
    """Whether there was no such local file, and there is now, whole from its first moment."""
    whole = f"{path}.{uuid.uuid4().hex[:8]}{HALF_WRITTEN}"
    with open(whole, "x", encoding="utf-8") as file:
        json.dump(content, file)
    try:
        os.link(whole, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        try:
            with open(path, "x", encoding="utf-8") as file:
                json.dump(content, file)
        except FileExistsError:
            return False
    finally:
        with suppress(FileNotFoundError):  # swept by the job that holds the split
            os.remove(whole)
    return True


def read_lock(path: str) -> dict[str, Any]:
    """What the lock says; nothing where there is none, or it is no lock."""
    with suppress(OSError, ValueError, AttributeError):
        if files.exists(path):
            content = files.read_json(path)
            if all(isinstance(content.get(name), kind) for name, kind in _FIELDS.items()):
                return dict(content)
    return {}


def is_alive(holder: dict[str, Any]) -> bool:
    """Whether the job that wrote this lock is still at work."""
    if time.time() - holder.get("beat", 0.0) > STALE_SECONDS:
        return False
    if holder.get("host") != socket.gethostname():
        return True
    try:
        os.kill(holder["pid"], 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
