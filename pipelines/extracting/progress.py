"""Progress of a local run: bytes of the input, shards, audio, times real time, time left.

The workers may be threads or processes, so what they have done is read from the split's folder.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import ExitStack, suppress
from glob import iglob
from pathlib import Path
from types import TracebackType
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from melbeam.pipelines import words
from melbeam.pipelines.extracting.progress_file import Progress
from melbeam.pipelines.split.plan import Shard
from melbeam.transforms.folder_layout import SplitFolder, TemporaryName, shard_of_file

_TERMINAL_SECONDS = 0.5
_PLAIN_SECONDS = 10.0
_LOOK_SHARE = 50  # at most one second of looking in so many


class ProgressBar:
    """Shows the progress of a job while its `with` block runs; plain lines where there is no terminal.

    Args:
        folder: of the split, on this machine's file system.
        shards: the plan.
        sampling_rate: Hz of the samples that the reports count.
    """

    def __init__(self, folder: SplitFolder, shards: list[Shard], sampling_rate: int) -> None:
        self._folder = folder
        self._sizes = {shard.index: shard.unit.num_bytes for shard in shards}
        self._total = sum(self._sizes.values())
        self._sampling_rate = sampling_rate
        self._finished: dict[int, Progress] = {}
        self._terminal = sys.stderr.isatty()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="melbeam-progress")
        self._start = time.monotonic()
        self._resumed = Progress()
        self._bar: Any = None
        self._terminal_use = ExitStack()

    def __enter__(self) -> ProgressBar:
        self._resumed = self.done()
        if self._terminal:
            self._bar = tqdm(
                total=max(1, self._total),
                initial=self._resumed.num_bytes,
                bar_format="{percentage:3.0f}%|{bar}| {desc} [{elapsed}<{remaining}]",
                file=sys.stderr,
            )
            self._terminal_use.enter_context(self._bar)
            self._terminal_use.enter_context(logging_redirect_tqdm())  # a log line goes above the bar
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        if kind is None:
            self._show()
        self._terminal_use.close()

    def done(self) -> Progress:
        """What is done: finished shards, and what running attempts say."""
        running: dict[int, Progress] = {}
        found = [(shard_of_file(path), "report", path) for path in iglob(self._folder.reports_glob)]
        for path in iglob(self._folder.temporaries_glob()):
            name = TemporaryName.parse(path)
            found.append((name.shard, name.kind, path))
        for index, kind, path in found:
            if index in self._finished or index not in self._sizes or kind not in ("report", "progress"):
                continue
            # A file that was just renamed, or is half-written, is found at the next look.
            with suppress(OSError, ValueError, KeyError, TypeError):
                text = Path(path).read_text(encoding="utf-8")
                if kind == "report":
                    seconds = json.loads(text)["num_samples"] / self._sampling_rate
                    self._finished[index] = Progress(seconds, self._sizes[index])
                else:
                    attempt = Progress.parse(text)
                    # A compressed file may give more bytes than it has, and is not at its end before its report.
                    attempt = Progress(attempt.seconds, min(attempt.num_bytes, self._sizes[index]))
                    running[index] = max(running.get(index, attempt), attempt, key=lambda done: done.num_bytes)
        all_of_them = [*self._finished.values(), *(v for k, v in running.items() if k not in self._finished)]
        return Progress(sum(done.seconds for done in all_of_them), sum(done.num_bytes for done in all_of_them))

    def _run(self) -> None:
        pause = _TERMINAL_SECONDS if self._terminal else _PLAIN_SECONDS
        while not self._stopped.wait(pause):
            start = time.monotonic()
            self._show()
            # With very many shards a look takes long: then they are rare, so that they cost the job little.
            pause = max(pause, _LOOK_SHARE * (time.monotonic() - start))

    def _show(self) -> None:
        done, elapsed = self.done(), time.monotonic() - self._start
        line = f"{len(self._finished)} of {words.count(len(self._sizes), 'shard')}"
        line += f", {words.size(done.num_bytes)} of {words.size(self._total)}"
        line += f", {words.duration(done.seconds)} of audio"
        speed = (done.seconds - self._resumed.seconds) / elapsed if elapsed else 0.0
        if speed >= 1:  # below, nothing has been done yet but starting
            line += f", {speed:.0f} times real time"
        if self._bar is not None:
            self._bar.n = done.num_bytes
            self._bar.set_description_str(line)
            return
        here, left = done.num_bytes - self._resumed.num_bytes, self._total - done.num_bytes
        remaining = f", {words.duration(elapsed * left / here)} left" if here > 0 and left > 0 else ""
        print(f"melbeam: {line}{remaining}", file=sys.stderr, flush=True)
