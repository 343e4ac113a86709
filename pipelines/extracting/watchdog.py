"""A hang becomes a crash, which a runner retries and a next start sees.

A thread looks at the record at hand once a second. Native code that hangs while it holds the interpreter's
lock stops that thread too; then faulthandler's timer, which needs no lock and is wound up again at every look,
runs out.
"""

from __future__ import annotations

import faulthandler
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from melbeam.pipelines import words
from melbeam.pipelines.exit_status import EXIT_FAILED
from melbeam.pipelines.job_log import screen_descriptor
from melbeam.transforms.records.conversion import Conversion, Converter, Prepared
from melbeam.transforms.records.rejects import Reject

_LOOK_SECONDS = 1.0


class WatchedConverter:
    """Converts with another converter, and ends the process where one record takes too long.

    Args:
        converter: that converts.
        max_seconds: that one record may take.
    """

    _lock = threading.Lock()
    _num_active = 0  # of this process: they share faulthandler's one timer

    def __init__(self, converter: Converter, max_seconds: float) -> None:
        self._converter = converter
        self._max_seconds = max_seconds
        self._at_hand: tuple[str, float] | None = None  # the source, and since when
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="melbeam-watchdog")

    def __enter__(self) -> WatchedConverter:
        with self._lock:
            WatchedConverter._num_active += 1
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        with self._lock:
            WatchedConverter._num_active -= 1
            if not WatchedConverter._num_active:
                faulthandler.cancel_dump_traceback_later()

    def prepare(self, record: bytes, source: str) -> Prepared:
        """Prepares as the converter does, under the watch."""
        with self._watching(source):
            return self._converter.prepare(record, source)

    def finish(self, prepared: Sequence[Prepared]) -> list[Conversion | Reject]:
        """Finishes as the converter does, under the watch, which names the records together."""
        ends = [record.source for record in (prepared[0], prepared[-1])] if prepared else [""]
        with self._watching(" to ".join(dict.fromkeys(ends))):
            return self._converter.finish(prepared)

    @contextmanager
    def _watching(self, what: str) -> Iterator[None]:
        self._at_hand = what, time.monotonic()
        try:
            yield
        finally:
            self._at_hand = None

    def _watch(self) -> None:
        while True:
            with self._lock:
                faulthandler.dump_traceback_later(
                    self._max_seconds + 2 * _LOOK_SECONDS, exit=True, file=screen_descriptor()
                )
            if self._stopped.wait(min(_LOOK_SECONDS, self._max_seconds)):
                return
            at_hand = self._at_hand
            if at_hand is not None and time.monotonic() - at_hand[1] > self._max_seconds:
                say = (
                    f"melbeam: {words.harmless(at_hand[0])} has not been converted within {self._max_seconds:g} s "
                    "(--max_convert_seconds): this process ends. The next attempt at its shard, by the runner or "
                    "by the same command again, finds the record and rejects it\n"
                )
                os.write(screen_descriptor(), say.encode(errors="replace"))
                os._exit(EXIT_FAILED)
