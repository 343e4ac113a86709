"""Progress of a local run: shards, hours of audio, times real time, time left.

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

from melbeam.pipelines.split.plan import Shard
from melbeam.transforms.folder_layout import SplitFolder, TemporaryName, shard_of_report

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
        self._sizes = {shard.index: shard.num_bytes for shard in shards}
        self._sampling_rate = sampling_rate
        self._finished: dict[int, float] = {}
        self._terminal = sys.stderr.isatty()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="melbeam-progress")
        self._start = time.monotonic()
        self._resumed_seconds = 0.0
        self._bar: Any = None
        self._terminal_use = ExitStack()

    def __enter__(self) -> ProgressBar:
        self._resumed_seconds = self.seconds()
        if self._terminal:
            self._bar = tqdm(
                total=max(1, sum(self._sizes.values())),
                bar_format="{percentage:3.0f}%|{bar}| {postfix} [{elapsed}<{remaining}]",
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

    def seconds(self) -> float:
        """Seconds of audio done: finished shards, and what running attempts say."""
        running: dict[int, float] = {}
        found = [(shard_of_report(path), "report", path) for path in iglob(self._folder.reports_glob)]
        for path in iglob(self._folder.temporaries_glob()):
            name = TemporaryName.parse(path)
            found.append((name.shard, name.kind, path))
        for index, kind, path in found:
            if index in self._finished or kind not in ("report", "progress"):
                continue
            with suppress(OSError, ValueError, KeyError):  # renamed or half-written: the next look finds it
                content = json.loads(Path(path).read_text(encoding="utf-8"))
                if kind == "report":
                    self._finished[index] = content["num_samples"] / self._sampling_rate
                else:
                    running[index] = max(running.get(index, 0.0), content)
        return sum(self._finished.values()) + sum(v for k, v in running.items() if k not in self._finished)

    def _run(self) -> None:
        pause = _TERMINAL_SECONDS if self._terminal else _PLAIN_SECONDS
        while not self._stopped.wait(pause):
            start = time.monotonic()
            self._show()
            # With very many shards a look takes long: then they are rare, so that they cost the job little.
            pause = max(pause, _LOOK_SHARE * (time.monotonic() - start))

    def _show(self) -> None:
        seconds = self.seconds()
        elapsed = time.monotonic() - self._start
        speed = (seconds - self._resumed_seconds) / elapsed if elapsed else 0.0
        line = (
            f"{len(self._finished)}/{len(self._sizes)} shards, {seconds / 3600:.2f} h of audio, "
            f"{speed:.0f} times real time"
        )
        done = sum(self._sizes[index] for index in self._finished if index in self._sizes)
        if self._bar is not None:
            self._bar.n = done
            self._bar.set_postfix_str(line)
        else:
            total = sum(self._sizes.values())
            left = f", {elapsed * (total - done) / done:.0f} s left" if 0 < done < total else ""
            print(f"melbeam: {line}{left}", file=sys.stderr, flush=True)
