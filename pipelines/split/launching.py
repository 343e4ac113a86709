"""What the launchers of all jobs on a split do alike, before their pipeline and behind it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from melbeam.pipelines import files
from melbeam.pipelines.exit_status import EXIT_OK, EXIT_REJECTS
from melbeam.pipelines.job_log import current_log
from melbeam.pipelines.sources.units import printable
from melbeam.pipelines.split.job import SplitJob
from melbeam.pipelines.split.plan import Shard, write_plan
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.transforms.folder_layout import SplitFolder


def begin_split(job: SplitJob, shards: Sequence[Shard]) -> int:
    """Writes the plan of a split that is this job's; gives the number of shards that an earlier start finished.

    From here on the same command finds what was done, and a failure's log file has its place.
    """
    write_plan(job.folder.plan, shards)
    log = current_log()
    if log is not None:
        log.goes_on = True
        log.home = job.folder.failure_log if files.is_local(job.folder.output) else None
    return len(files.match(job.folder.reports_glob))


def show_plan(folder: SplitFolder, shards: list[Shard]) -> None:
    """Prints what would become what."""
    for shard in shards:
        unit = shard.unit
        for path in unit.files:
            print(f"{printable(path)} -> {folder.shard(shard.index, shard.num_shards)}")
        if unit.files:
            continue
        print(f"{unit.source} ({unit.num_bytes} bytes) -> {folder.shard(shard.index, shard.num_shards)}")


def judge(job: SplitJob, summary: SplitSummary) -> int:
    """Says on standard error what a person should look into; gives the exit status."""
    if summary.records_read == 0:
        print(
            f"melbeam: warning: the input has no records: split {job.folder.split!r} of {job.folder.output} is "
            "empty. Did what wrote the input end?",
            file=sys.stderr,
        )
    if summary.reject_fraction > job.max_reject_fraction:
        print(
            f"melbeam: {summary.reject_fraction:.2%} of the records are rejects, above --max_reject_fraction="
            f"{job.max_reject_fraction:g}: look into {job.folder.rejects_folder}",
            file=sys.stderr,
        )
        return EXIT_REJECTS
    return EXIT_OK
