"""The end of a split, behind its last commit: what is written once all its shards are done."""

from __future__ import annotations

from melbeam.pipelines.split.job import Job
from melbeam.pipelines.split.job_file import TakenOver, check_owner, read_job
from melbeam.pipelines.split.lock import release_left_lock
from melbeam.pipelines.split.metadata import SplitSummary, write_metadata


def finish_split(job: Job, summary: SplitSummary) -> None:
    """Writes the split's summary and the folder's metadata, if the split is this job's still.

    Raises:
        TakenOver: the split is another job's by now, or was removed while this one was at work on it.
    """
    check_owner(job.folder, job.hash)
    if read_job(job.folder) is None:
        raise TakenOver(f"{job.folder.job} was removed while this job was at work: extract the split again")
    write_metadata(job.folder, summary, job.front_end, job.options)
    release_left_lock(job.folder, job.hash)
