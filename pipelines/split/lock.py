"""One job at a time on a split: a lock file with a heartbeat, on any of Beam's file systems.

Of any number of jobs that start at once one has it. On a local file system, network ones included, that is by a
file which is created only where there is none; on a store by its own condition for writing (GCS' generation, S3's
If-None-Match). Where a store knows no such condition, or takes it and does not heed it, each job writes, waits,
and goes on if its lock stayed. A job that finds its lock another's ends its process, so that two never write.
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
from melbeam.pipelines.split.process_identity import began, is_gone, machine
from melbeam.transforms.folder_layout import HALF_WRITTEN, SplitFolder

BEAT_SECONDS = 20.0
STALE_SECONDS = 180.0  # without a beat: its holder is gone
_SETTLE_SECONDS = 2.0  # on a store without conditions: more than lies between a look at the lock and its writing
_FIELDS = {"token": str, "host": str, "pid": int, "started": float, "beat": float}


class Locked(ValueError):
    """Another job is at work on the split."""


class SplitLock:
    """Held while its `with` block runs; refreshed by a thread, so that a lock without a beat is a dead job's.

    A dead job's lock is taken over: at once where its process was on this machine and is gone, else when its
    beat is three minutes old. What the block has not filled of the folders that the lock made goes with it, so
    that a refused job leaves nothing behind.

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
        self._left_to = ""
        self._made_folders: list[str] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="melbeam-lock")

    def __enter__(self) -> SplitLock:
        self._made_folders = files.ensure_folder(self._path)
        try:
            if files.is_local(self._path):
                if not _create(self._path, self._content()):
                    self._take_over()
            elif not self._take_by_condition():
                self._take_by_settling()
        except BaseException:
            files.remove_empty_folders(self._made_folders)
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        if self._read().get("token") == self._token and not self._left_to:
            files.delete([self._path])
        files.remove_empty_folders(self._made_folders)

    def leave_to(self, job: str) -> None:
        """Lets the lock stay when the block ends, for a job that goes on elsewhere without this process.

        It stays until that job ends well and `release_left_lock` removes it, or a person does.

        Args:
            job: the hash of the job.
        """
        self._left_to = job
        self._write()

    def _take_over(self) -> None:
        """Takes a dead job's lock; of several that find it dead, the one that made the guard."""
        self._refuse_a_living_holder()
        if not _create(self._guard, self._content()):
            if is_alive(read_lock(self._guard)):
                raise Locked(
                    f"another job is just taking split {self._split!r} of {self._output} over: {self._guard}"
                )
            files.delete([self._guard])
            if not _create(self._guard, self._content()):
                raise Locked(
                    f"another job is just taking split {self._split!r} of {self._output} over: {self._guard}"
                )
        try:
            self._refuse_a_living_holder()  # who was quicker, and has removed its guard already
            self._write()
        finally:
            files.delete([self._guard])

    def _take_by_condition(self) -> bool:
        """Takes the lock where the store lets one of several write; says whether the store can be relied on.

        Raises:
            Locked: another job holds it, or has just taken it.
        """
        data = json.dumps(self._content()).encode()
        try:
            found = files.read_with_version(self._path)
            holder, version = (_parse(found[0]), found[1]) if found else ({}, None)
            self._refuse(holder)
            if not files.write_if_version(self._path, data, version):
                holder = self._read()
                if holder.get("token") != self._token:  # else the answer to a first try was lost on its way
                    self._refuse(holder)
                    raise Locked(
                        f"another job is just taking split {self._split!r} of {self._output}: {self._path}"
                    )
            # A store that heeds the condition does not write a second time.
            return not files.write_if_version(self._path, data, None)
        except NotImplementedError:
            return False

    def _take_by_settling(self) -> None:
        self._refuse_a_living_holder()
        self._write()
        time.sleep(_SETTLE_SECONDS)
        self._refuse_a_living_holder()

    def _refuse_a_living_holder(self) -> None:
        self._refuse(self._read())

    def _refuse(self, holder: dict[str, Any]) -> None:
        """Returns if the split's holder, as its lock names it, is this job, or dead, or nobody.

        Raises:
            Locked: it is alive.
        """
        if holder.get("token") in (None, self._token) or not is_alive(holder):
            return
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder["started"]))
        who = f"process {holder['pid']} on {holder['host']}, since {since}"
        if holder.get("left_to"):
            raise Locked(
                f"a job that {who} started went on when that was interrupted, and may be at work on split "
                f"{self._split!r} of {self._output}. Cancel it, or wait for it; if it has ended, remove "
                f"{self._path}"
            )
        raise Locked(
            f"another job is at work on split {self._split!r} of {self._output}: {who}. Wait for it, or end it; "
            f"its lock is {self._path}"
        )

    def _content(self) -> dict[str, Any]:
        return {
            "token": self._token,
            "host": socket.gethostname(),
            "machine": machine(),
            "pid": os.getpid(),
            "began": began(os.getpid()),
            "started": self._started,
            "beat": time.time(),
            "left_to": self._left_to,
        }

    def _write(self) -> None:
        # Without a sync: after a power cut there is no job whose lock it could be.
        files.write_json(self._path, self._content(), sync=False)

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
        """Ends the process as a crash would, which each step of a job allows for: it may write nothing more."""
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
    data = json.dumps(content).encode()
    try:
        with files.create_file(whole) as file:
            file.write(data)
        try:
            os.link(whole, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            try:
                with open(path, "xb") as file:
                    file.write(data)
            except FileExistsError:
                return False
    finally:
        with suppress(FileNotFoundError):  # swept by the job that holds the split
            os.remove(whole)
    return True


def read_lock(path: str) -> dict[str, Any]:
    """What the lock says; nothing where there is none, or it is no lock."""
    with suppress(OSError):
        if files.exists(path):
            return _parse(files.read_bytes(path))
    return {}


def _parse(data: bytes) -> dict[str, Any]:
    with suppress(ValueError, AttributeError):
        content = json.loads(data)
        if all(isinstance(content.get(name), kind) for name, kind in _FIELDS.items()):
            return dict(content)
    return {}


def is_alive(holder: dict[str, Any]) -> bool:
    """Whether the job that wrote this lock is still at work, or may be."""
    if holder.get("left_to"):
        return True  # it has no process that this one could look for
    if time.time() - holder.get("beat", 0.0) > STALE_SECONDS:
        return False
    return not is_gone(str(holder.get("machine", "")), holder["pid"], str(holder.get("began", "")))


def release_left_lock(folder: SplitFolder, job: str) -> None:
    """Removes the lock that was left to this job, which has ended."""
    if read_lock(folder.lock).get("left_to") == job:
        files.delete([folder.lock])
