"""Which attempts at shards are running in this process, how they are stopped, and the marks that a crash leaves.

An attempt's progress file comes first, and goes with every end that its process sees: an exception, or a stop. So
one without a report is the mark of an attempt that never ended: a record may have killed the process, or hung it
until the watchdog did. Only then are a shard's records converted in a process apart, which takes many times as
long, and finds that record.
"""

from __future__ import annotations

import atexit
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from melbeam.pipelines import files
from melbeam.pipelines.split.leftovers import temporaries
from melbeam.transforms.folder_layout import SplitFolder, TemporaryName

# A clip of hours takes this long; an attempt that needs longer for one record ends with the process.
STOP_SECONDS = 20.0

# A job is interrupted by these as by Ctrl-C. A cluster or a container that is stopped sends the first, and a
# terminal that is closed, or whose connection is lost, the second, which not every system has.
_INTERRUPTING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]

_stopping = threading.Event()
_changed = threading.Condition()
_num_at_work = 0


class Stopped(RuntimeError):
    """The process is being ended: the attempt has left nothing that looks like a crash."""


@contextmanager
def at_work() -> Iterator[None]:
    """Counts an attempt of this process while the `with` block runs.

    Raises:
        Stopped: the process is being ended, and begins no attempt any more.
    """
    global _num_at_work
    with _changed:
        check_not_stopped()
        _num_at_work += 1
    try:
        yield
    finally:
        with _changed:
            _num_at_work -= 1
            _changed.notify_all()


def check_not_stopped() -> None:
    """Returns while attempts may go on; they ask between two records.

    Raises:
        Stopped: the process is being ended.
    """
    if _stopping.is_set():
        raise Stopped("the job was interrupted")


def stop_all(seconds: float = STOP_SECONDS) -> bool:
    """Has the attempts of this process end, and waits for them; says whether they did.

    Args:
        seconds: to wait at most.
    """
    _stopping.set()
    with _changed:
        return _changed.wait_for(lambda: not _num_at_work, seconds)


# A worker process that Ctrl-C reaches too ends without asking its threads: they would be at work inside
# TensorFlow while its libraries are taken down, which aborts the process.
atexit.register(stop_all)


@contextmanager
def stopped_by_interruption() -> Iterator[None]:
    """Has this process's attempts end when its `with` block is interrupted: by Ctrl-C, or as `_INTERRUPTING` says.

    Raises:
        KeyboardInterrupt: it was, and they have ended.
    """
    _stopping.clear()
    ours = []
    if threading.current_thread() is threading.main_thread():
        # A signal that a caller handles, or ignores as nohup does, is left alone.
        ours = [number for number in _INTERRUPTING if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        stop_all()
        raise
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def never_ended(folder: SplitFolder, index: int | None = None) -> set[str]:
    """The progress files of attempts that are at work, or that never ended, of one shard or of all."""
    found = {path: TemporaryName.parse(path) for path in temporaries(folder, index)}
    ended = {(name.shard, name.attempt) for name in found.values() if name.kind == "report"}
    return {
        path for path, name in found.items() if name.kind == "progress" and (name.shard, name.attempt) not in ended
    }


def must_be_isolated(folder: SplitFolder, index: int) -> bool:
    """Whether a shard's records are to be converted in a process apart, before an attempt at it begins."""
    return bool(never_ended(folder, index))


def forget(folder: SplitFolder, known: Iterable[str]) -> None:
    """Removes the marks of attempts that were cancelled with their job, on whatever machines they were.

    Args:
        folder: of the split.
        known: what `never_ended` gave before the job began; these stay.
    """
    files.delete(sorted(never_ended(folder) - set(known)))
