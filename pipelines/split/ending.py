"""The end of a split, behind its last commit: what is written once all its shards are done."""

from __future__ import annotations

from collections.abc import Callable

from melbeam.pipelines.split.job import SplitJob
from melbeam.pipelines.split.job_file import TakenOver, check_owner, read_job
from melbeam.pipelines.split.lock import release_left_lock


def finish_split(job: SplitJob, write: Callable[[], None]) -> None:
    """Writes what says that the split is finished, if the split is this job's still.

    Raises:
        TakenOver: the split is another job's by now, or was removed while this one was at work on it.
    """
    check_owner(job.folder, job.hash)
    if read_job(job.folder) is None:
        raise TakenOver(f"{job.folder.job} was removed while this job was at work: start it again")
    write()
    release_left_lock(job.folder, job.hash)
