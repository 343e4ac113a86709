"""The run of a job, as its launcher sees it: an interruption cancels it, and leaves no mark of a crash."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from apache_beam.options.pipeline_options import PortableOptions
from apache_beam.runners.runner import PipelineState

from melbeam.pipelines import words
from melbeam.pipelines.beam_options import RunnerChoice
from melbeam.pipelines.extracting.attempts import forget, never_ended
from melbeam.pipelines.split.job import SplitJob
from melbeam.pipelines.split.lock import SplitLock
from melbeam.transforms.messages import in_one_line

# Cancelling takes a service minutes: it takes its machines down first.
CANCEL_SECONDS = 600.0
_LOOK_SECONDS = 0.5


class JobRun:
    """A job's run, from before its start, while the `with` block runs.

    Where the block is interrupted and the run with it, the marks of attempts that the run had begun are removed,
    on whatever machine they were: their shards are done again as any other. A record that ended its worker in this
    very run is found at the next one.

    Args:
        jobs: what the run does, of each split that it makes.
        locks: of those splits, which are held.
        choice: where it runs.
    """

    def __init__(self, jobs: Sequence[SplitJob], locks: Sequence[SplitLock], choice: RunnerChoice) -> None:
        self._jobs, self._locks, self._choice = jobs, locks, choice
        self._was_cancelled = False
        self._marks_before = [never_ended(job.folder) for job in jobs]

    def __enter__(self) -> JobRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._was_cancelled or (self._choice.local and kind is KeyboardInterrupt):
            with suppress(OSError):  # what ended the block is told
                for job, before in zip(self._jobs, self._marks_before, strict=True):
                    forget(job.folder, before)

    def wait(self, result: Any) -> None:
        """Waits for the run to end; where that is cut off, cancels it, or else leaves the split's lock to it.

        Args:
            result: what the runner gave.

        Raises:
            BaseException: what cut the waiting off: the job's failure, Ctrl-C, a lost connection.
        """
        try:
            result.wait_until_finish()
        except BaseException:
            if not _is_over(result):
                self._cancel(result)
            raise

    def _cancel(self, result: Any) -> None:
        over = False
        try:
            words.say("the job is being cancelled; a second Ctrl-C lets it go on")
            result.cancel()
            over = _is_over_within(result, CANCEL_SECONDS)
            why = f"it has not ended within {CANCEL_SECONDS:.0f} s"
        except KeyboardInterrupt:
            why = "it was not waited for"
        except Exception as error:  # whatever a runner's client says
            over, why = _is_over(result), f"{type(error).__name__}: {in_one_line(error)}"
        self._was_cancelled = over or self._ends_with_this_process()
        if not self._was_cancelled:
            for job, lock in zip(self._jobs, self._locks, strict=True):
                lock.leave_to(job.hash)
            stay = f"lock stays, {self._jobs[0].folder.lock}"
            if len(self._jobs) > 1:
                stay = f"locks stay, {', '.join(job.folder.lock for job in self._jobs)}"
            words.say(
                f"the job may go on ({why}): its {stay}. Cancel the job where it runs; when it has ended, remove "
                f"the lock{'s' if len(self._jobs) > 1 else ''}, and the same command goes on"
            )

    def _ends_with_this_process(self) -> bool:
        """Whether the run's workers are threads of this process, as Prism, which it started itself, has them."""
        workers = self._choice.options.view_as(PortableOptions).environment_type
        return workers == "LOOPBACK" or (workers is None and self._choice.runner.endswith("PrismRunner"))


def _is_over_within(result: Any, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (over := _is_over(result)) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    return over


def _is_over(result: Any) -> bool:
    """Whether the runner knows that the run has ended; one that does not answer knows nothing."""
    with suppress(Exception):
        return bool(PipelineState.is_terminal(result.state))
    return False
