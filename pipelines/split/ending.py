"""The end of a split, behind its last commit: what is written once all its shards are done."""

from __future__ import annotations

from collections.abc import Callable

from melbeam.pipelines.split.job import SplitJob
from melbeam.pipelines.split.job_file import TakenOver, check_owner, read_job
from melbeam.pipelines.split.lock import release_left_lock
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.transforms.folder_layout import SplitFolder


class Incomplete(RuntimeError):
    """A shard or a clip is missing at the end: the runner has lost it on its way from step to step."""


def check_is_whole(
    folder: SplitFolder, summary: SplitSummary, num_shards: int, num_clips: int | None = None
) -> None:
    """Sees to it that all that a split is to be made of has come to its end: runners have lost elements.

    Args:
        folder: of the split.
        summary: of the shards that have ended.
        num_shards: that the split is to have.
        num_clips: that were counted on their way; None where nobody counted them.

    Raises:
        Incomplete: it is less, or more.
    """
    ended = len(summary.shard_features)
    if ended != num_shards:
        raise Incomplete(
            f"{folder.output}, split {folder.split!r}: {ended} of {num_shards} shards came to the end of the "
            "job, for the runner has lost the others: start it again, which goes on with those"
        )
    if num_clips is not None and summary.records_converted != num_clips:
        raise Incomplete(
            f"{folder.output}, split {folder.split!r}: {summary.records_converted} of {num_clips} clips came to "
            "their shards, for the runner has lost the others on their way: start the job again with --overwrite"
        )


def finish_split(job: SplitJob, summary: SplitSummary, write: Callable[[SplitFolder, SplitSummary], None]) -> None:
    """Has written what says that the split is finished, if the split is this job's still.

    Args:
        job: whose shards are all done.
        summary: of these shards.
        write: writes the split's summary, and what goes with it.

    Raises:
        TakenOver: the split is another job's by now, or was removed while this one was at work on it.
    """
    check_owner(job.folder, job.hash)
    if read_job(job.folder) is None:
        raise TakenOver(f"{job.folder.job} was removed while this job was at work: start it again")
    write(job.folder, summary)
    release_left_lock(job.folder, job.hash)


def finish_whole_split(
    summary: SplitSummary, job: SplitJob, num_shards: int, write: Callable[[SplitFolder, SplitSummary], None]
) -> None:
    """The last step of a job on one split: `check_is_whole`, then `finish_split`.

    Raises:
        Incomplete: a shard is missing.
        TakenOver: as `finish_split` says.
    """
    check_is_whole(job.folder, summary, num_shards)
    finish_split(job, summary, write)
