"""One job at a time on a split: a lock file with a heartbeat, on any of Beam's file systems."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from types import TracebackType
from typing import Any

from melbeam.pipelines import files
from melbeam.pipelines.plan import SplitFolder

BEAT_SECONDS = 20.0
STALE_SECONDS = 180.0  # without a beat: its holder is gone


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
        self._path = f"{folder.bookkeeping}/lock.json"
        self._output, self._split = folder.output, folder.split
        self._token = uuid.uuid4().hex
        self._started = time.time()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="melbeam-lock")

    def __enter__(self) -> SplitLock:
        files.ensure_folder(self._path)
        if not self._create():
            self._refuse_a_living_holder()
            self._write()  # a dead one's
        # Of two that took it at once, the one whose token stayed has it.
        if self._read().get("token") != self._token:
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

    def _create(self) -> bool:
        """Whether there was no lock, and there is ours now."""
        if not files.is_local(self._path):
            if files.exists(self._path):
                return False
            self._write()
            return True
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(self._content(), file)
        return True

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
                if self._read().get("token") == self._token:
                    self._write()


def read_lock(path: str) -> dict[str, Any]:
    """What the lock says; nothing where there is none, or it is being written."""
    with suppress(OSError, ValueError):
        if files.exists(path):
            content = files.read_json(path)
            return content if isinstance(content, dict) else {}
    return {}


def is_alive(holder: dict[str, Any]) -> bool:
    """Whether the job that wrote this lock is still at work."""
    if time.time() - holder.get("beat", 0.0) > STALE_SECONDS:
        return False
    if holder.get("host") != socket.gethostname():
        return True
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
