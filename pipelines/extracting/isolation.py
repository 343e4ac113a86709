"""Records converted in a process of their own, so that one that kills or hangs it costs itself alone.

This side and the other speak over two pipes: a JSON header with the sizes of the byte strings behind it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from melbeam.pipelines.extracting.tensorflow_setup import prepare_tensorflow
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.statistics import BinStatistics

_START_SECONDS = 600.0  # for TensorFlow's import, on a machine that does much else
_GRACE_SECONDS = 60.0  # after which a process whose parent is gone ends by itself
_END_SECONDS = 5.0
_TRIES = 2  # a record is to blame where it kills a fresh process too
_SIZE = struct.Struct("<I")


class ProcessLost(RuntimeError):
    """The process could not be started: not the fault of a record."""


class IsolatedConverter:
    """`RecordConverter.convert` in another process, which is started again when it dies.

    Args:
        front_end: of the features.
        options: how records are read and written.
        max_seconds: that one record may take.
    """

    def __init__(self, front_end: FrontEnd, options: RecordOptions, max_seconds: float) -> None:
        self._front_end = front_end
        self._options = options
        self._max_seconds = max_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> IsolatedConverter:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def convert(self, record: bytes, source: str) -> Any:
        """A `Conversion`.

        Raises:
            Reject: the record cannot be converted, or kills or hangs the converter.
            ProcessLost: the process does not start.
        """
        for _ in range(_TRIES):
            process = self._process or self._start()
            answer, in_time = _ask(process, {"source": source}, [record], self._max_seconds)
            if answer is not None:
                return _conversion(*answer)
            status = self._end()
            if not in_time:
                raise Reject(
                    "converter_error", f"it hung the converter: not converted within {self._max_seconds:g} s"
                )
        raise Reject("converter_error", f"it killed the converter: {_in_words(status)}")

    def _start(self) -> subprocess.Popen[bytes]:
        # The path as it is here, as multiprocessing does it; "" would be another folder's modules.
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
        self._process = process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        job = {
            "front_end": self._front_end.to_dict(),
            "options": asdict(self._options),
            "max_seconds": self._max_seconds,
        }
        answer, in_time = _ask(process, job, [], _START_SECONDS)
        if answer is None:
            why = _in_words(self._end()) if in_time else f"nothing came of it in {_START_SECONDS:g} s"
            raise ProcessLost(f"the process that converts records in isolation does not start: {why}")
        return process

    def _end(self) -> int:
        """Ends the process; gives its exit status, negative for a signal."""
        process, self._process = self._process, None
        if process is None:
            return 0
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # what was not yet written to the dead
                pipe.close()  # type: ignore[union-attr]
        try:
            return process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def serve() -> None:
    """The other side: converts what comes from the parent, until it closes the pipe."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not come between the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then closes the pipe
    first = _receive(requests)
    if first is None:
        return
    job = first[0]
    prepare_tensorflow(gpu=True)  # the environment is the parent's, which hides the GPU unless the job may use it
    from melbeam.transforms.records.converter import RecordConverter

    converter = RecordConverter(FrontEnd.from_dict(job["front_end"]), RecordOptions(**job["options"]))
    _send(answers, {}, [])
    while (request := _receive(requests)) is not None:
        header, (record,) = request
        # The parent keeps the time; this is for a parent that is gone.
        faulthandler.dump_traceback_later(job["max_seconds"] + _GRACE_SECONDS, exit=True)
        try:
            conversion = converter.convert(record, header["source"])
        except Reject as reject:
            _send(answers, {"reject": [reject.reason, reject.detail]}, [])
        else:
            fields = {field: value for field, value in vars(conversion).items() if field != "examples"}
            _send(answers, {**fields, "statistics": conversion.statistics.to_dict()}, conversion.examples)
        faulthandler.cancel_dump_traceback_later()


def _conversion(header: dict[str, Any], examples: list[bytes]) -> Any:
    from melbeam.transforms.records.converter import Conversion  # imports TensorFlow: workers only

    if "reject" in header:
        raise Reject(*header["reject"])
    header["statistics"] = BinStatistics.from_dict(header["statistics"])
    header["passthrough"] = {name: tuple(found) for name, found in header["passthrough"].items()}
    return Conversion(examples=examples, **header)


def _ask(
    process: subprocess.Popen[bytes], header: dict[str, Any], parts: list[bytes], seconds: float
) -> tuple[tuple[dict[str, Any], list[bytes]] | None, bool]:
    """The answer, or None where the process died; and whether it was left to answer in time, or was killed."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(seconds, kill)
    timer.start()
    try:
        _send(process.stdin, header, parts)
        return _receive(process.stdout), not late.is_set()
    except OSError:  # a broken pipe
        return None, not late.is_set()
    finally:
        timer.cancel()
        timer.join()


def _send(file: Any, header: dict[str, Any], parts: list[bytes]) -> None:
    data = json.dumps([header, [len(part) for part in parts]]).encode()
    file.write(_SIZE.pack(len(data)) + data)
    for part in parts:
        file.write(part)
    file.flush()


def _receive(file: Any) -> tuple[dict[str, Any], list[bytes]] | None:
    """The header and the byte strings; None where the pipe ends first."""
    size = file.read(_SIZE.size)
    if len(size) < _SIZE.size:
        return None
    data = file.read(_SIZE.unpack(size)[0])
    try:
        header, sizes = json.loads(data)
    except ValueError:  # cut
        return None
    parts = [file.read(part_size) for part_size in sizes]
    return (header, parts) if [len(part) for part in parts] == sizes else None


def _in_words(status: int) -> str:
    """Why a process ended."""
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name
