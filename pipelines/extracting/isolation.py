"""Records converted in a process of their own, so that one that kills or hangs it costs itself alone.

The two sides send each other pickled objects over a `multiprocessing.connection`; the other side is a fresh
interpreter, which shares nothing with this one, not a fork of a process that has threads.
"""

from __future__ import annotations

import faulthandler
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from melbeam.pipelines.extracting.tensorflow_setup import prepare_tensorflow
from melbeam.transforms import fresh_interpreter
from melbeam.transforms.fresh_interpreter import ending_in_words
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.conversion import Conversion, convert
from melbeam.transforms.records.examples import id_in
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.rejects import Reject

_START_SECONDS = 600.0  # for TensorFlow's import, on a machine that does much else
_GRACE_SECONDS = 60.0  # after which a process whose parent is gone ends by itself
_END_SECONDS = 30.0  # that a process is left to end by itself; TensorFlow takes some, on a machine that is busy
_READY = "ready"
_STDERR = 2  # what a library prints on standard output goes where its complaints go
_TRIES = 2  # a record is to blame where it kills a fresh process too


class ProcessLost(RuntimeError):
    """The process could not be started, which is not the fault of a record."""


class IsolatedConverter:
    """Converts records in another process, which is started again when it dies.

    Args:
        front_end: of the features.
        options: how records are read and written.
        max_seconds: that one record may take.
    """

    def __init__(self, front_end: FrontEnd, options: RecordOptions, max_seconds: float) -> None:
        self._front_end = front_end
        self._options = options
        self._max_seconds = max_seconds
        self._other_side: _OtherSide | None = None

    def __enter__(self) -> IsolatedConverter:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def prepare(self, record: bytes, source: str) -> _Unread:
        """Leaves the record as it is: the other process reads it."""
        return _Unread(record, source)

    def finish(self, prepared: Sequence[_Unread]) -> list[Conversion | Reject]:
        """Converts the records one by one.

        Raises:
            MemoryError: the other process had not the memory.
            ProcessLost: the process does not start.
        """
        return [self._outcome(unread.record, unread.source) for unread in prepared]

    def _outcome(self, record: bytes, source: str) -> Conversion | Reject:
        for _ in range(_TRIES):
            other_side = self._other_side or self._start()
            answer, in_time = other_side.ask((record, source), self._max_seconds)
            if isinstance(answer, MemoryError):
                raise answer
            if answer is not None:
                return answer
            status = self._end()
            if not in_time:
                what = f"it hung the converter: not converted within {self._max_seconds:g} s"
                return Reject("converter_error", what, id_in(record))
        return Reject("converter_error", f"it killed the converter: {ending_in_words(status)}", id_in(record))

    def _start(self) -> _OtherSide:
        self._other_side = _OtherSide()
        job = (self._front_end, self._options, self._max_seconds)
        answer, in_time = self._other_side.ask(job, _START_SECONDS)
        if answer != _READY:
            why = ending_in_words(self._end()) if in_time else f"nothing came of it in {_START_SECONDS:g} s"
            raise ProcessLost(f"the process that converts records in isolation does not start: {why}")
        return self._other_side

    def _end(self) -> int:
        """Ends the process; gives its exit status, negative for a signal."""
        other_side, self._other_side = self._other_side, None
        return 0 if other_side is None else other_side.end()


@dataclass(frozen=True)
class _Unread:
    """A record as it was read; it counts as more samples than a kernel takes, so that none waits for another."""

    record: bytes
    source: str
    num_samples: int = sys.maxsize


class _OtherSide:
    """The process that converts, and this side's end of the connection to it."""

    def __init__(self) -> None:
        self._process, self._connection = fresh_interpreter.start(
            __name__, stdin=subprocess.DEVNULL, stdout=_STDERR
        )

    def ask(self, question: Any, seconds: float) -> tuple[Any, bool]:
        """The answer, or None where the process died; and whether it was left to answer, or was killed."""
        late = threading.Event()

        def kill() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(seconds, kill)
        timer.start()
        try:
            self._connection.send(question)
            return self._connection.recv(), not late.is_set()
        except (OSError, EOFError):  # it is gone
            return None, not late.is_set()
        finally:
            timer.cancel()
            timer.join()

    def end(self) -> int:
        """Closes the connection, which ends the process; gives its exit status, negative for a signal."""
        self._connection.close()
        try:
            return self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def serve(handle: int) -> None:
    """The other side: converts what comes over the connection, until that is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then closes the connection
    connection = Connection(handle)
    with suppress(EOFError, OSError):  # the parent is gone
        front_end, options, max_seconds = connection.recv()
        prepare_tensorflow(gpu=True)  # the environment is the parent's, which hides the GPU that is not asked for
        from melbeam.transforms.records.converter import RecordConverter

        converter = RecordConverter(front_end, options)
        connection.send(_READY)
        while True:
            record, source = connection.recv()
            # The parent keeps the time; this is for a parent that is gone.
            faulthandler.dump_traceback_later(max_seconds + _GRACE_SECONDS, exit=True)
            try:
                answer: Conversion | Exception = convert(converter, record, source)
            except (Reject, MemoryError) as error:
                answer = error
            faulthandler.cancel_dump_traceback_later()
            connection.send(answer)
