"""Holds what the launchers of extract and ingest share: they plan, run under the lock, and print what was done."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import apache_beam as beam

from melbeam.pipelines import files, words
from melbeam.pipelines.beam_options import RunnerChoice
from melbeam.pipelines.command_line import list_of
from melbeam.pipelines.exit_status import EXIT_OK, EXIT_REJECTS
from melbeam.pipelines.extracting.attempts import stopped_by_interruption
from melbeam.pipelines.job_log import current_log
from melbeam.pipelines.job_run import JobRun
from melbeam.pipelines.refusals import Refusal, UsageError, refused_as
from melbeam.pipelines.sources.planning import check_first_record, check_shards_are_complete
from melbeam.pipelines.sources.preview import preview
from melbeam.pipelines.sources.units import SourceOptions, Unit, printable
from melbeam.pipelines.split.job import SplitJob, claim_splits
from melbeam.pipelines.split.lock import Locked, SplitLock
from melbeam.pipelines.split.plan import Shard, limit_records, plan_shards, write_plan
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.transforms.folder_layout import SplitFolder


def find_shards(
    arguments: argparse.Namespace,
    source: SourceOptions,
    *,
    must_be_tfrecord: bool = False,
    raw_samples: bool = False,
) -> list[Shard]:
    """The plan of what `--input` names, cut to `--limit`; what is left out is said on standard error.

    Args:
        arguments: the job's, of which `input`, `allow_missing_shards` and `limit` count.
        source: how the input is read.
        must_be_tfrecord: as `check_first_record` has it.
        raw_samples: as `check_first_record` has it.

    Raises:
        UsageError: the input is none, or cannot be taken; the message says why.
        OSError: the input cannot be read.
    """
    with refused_as(Refusal.BAD_SOURCE):
        shards, left_out = plan_shards(list_of(arguments.input), source)
        if not arguments.allow_missing_shards:
            check_shards_are_complete(shard.unit for shard in shards)
        units = (shard.unit for shard in shards)
        check_first_record(units, must_be_tfrecord=must_be_tfrecord, raw_samples=raw_samples)
    for line in left_out.in_words():
        words.say(line)
    return shards if arguments.limit is None else limit_records(shards, arguments.limit)


@contextmanager
def at_work(
    jobs: Sequence[SplitJob], shards: list[Shard], choice: RunnerChoice, *, overwrite: bool
) -> Iterator[tuple[JobRun, int]]:
    """Holds the splits for the job while the `with` block runs it.

    Args:
        jobs: the job, as each split has it that it makes.
        shards: its plan.
        choice: where it runs.
        overwrite: whether splits of another job may be deleted.

    Yields:
        The run, to be waited for, and the number of shards that an earlier start finished.

    Raises:
        UsageError: a split is another job's, or the folder cannot be used; then none of the splits is changed.
    """
    try:
        with ExitStack() as held:
            locks = [held.enter_context(SplitLock(job.folder)) for job in jobs]
            # The attempts of this process have ended when the marks of those that a run elsewhere began go.
            job_run = held.enter_context(JobRun(jobs, locks, choice))
            held.enter_context(stopped_by_interruption())
            claim_splits(jobs, shards, overwrite=overwrite)
            # With --overwrite it would begin anew.
            command = "the same command without --overwrite" if overwrite else "the same command"
            yield job_run, sum([begin_split(job, shards, command) for job in jobs])
    except Locked as error:
        raise UsageError(Refusal.LOCKED, str(error)) from error


def begin_split(job: SplitJob, shards: Sequence[Shard], command: str) -> int:
    """Writes the plan of a split that is this job's; gives the number of shards that an earlier start finished.

    Args:
        job: that the split belongs to.
        shards: its plan.
        command: what finds from here on, in words, what was done; a failure's log file has its place, too.
    """
    write_plan(job.folder.plan, shards)
    log = current_log()
    if log is not None:
        log.goes_on = command
        log.home = job.folder.failure_log if files.is_local(job.folder.output) else None
    return len(files.match(job.folder.reports_glob))


def announce(shards: Sequence[Shard], choice: RunnerChoice, *made_with: str) -> None:
    """Says on standard error what is going to be done, and where.

    Args:
        shards: the plan.
        choice: where the job runs.
        made_with: what else a person should know of the job, in words.
    """
    size = words.size(sum(shard.unit.num_bytes for shard in shards))
    words.say(", ".join([words.count(len(shards), "shard"), size, *made_with, f"on {choice.runner}"]))


def show_plan(folder: SplitFolder, shards: list[Shard]) -> None:
    """Prints what would become what."""
    for shard in shards:
        for name in inputs_in_words(shard.unit):
            print(f"{name} -> {folder.shard(shard.index, shard.num_shards)}")


def show_first_records(shards: list[Shard]) -> None:
    """Prints what was understood of the input: which column is what, and its first clips."""
    for line in preview(shard.unit for shard in shards):
        print(line)


def inputs_in_words(unit: Unit) -> list[str]:
    """The files that a unit is made of, for a person; of one file of many records, that file or the part of it."""
    names = [printable(path) for path in unit.files] or [f"{unit.source} ({unit.num_bytes} bytes)"]
    return [words.harmless(name) for name in names]


def run_to_its_end(pipeline: beam.Pipeline, choice: RunnerChoice, job_run: JobRun) -> bool:
    """Runs the pipeline; whether it has ended, and was not only handed over."""
    result = pipeline.run()
    if choice.detached is not None:
        words.say(choice.detached)
        return False
    job_run.wait(result)
    return True


def read_summary(job: SplitJob) -> SplitSummary:
    """The summary of a split whose job ended well; the log of a start that failed before goes."""
    files.delete([job.folder.failure_log])
    return SplitSummary.read(job.folder.summary)


def some_of(num_done: int, num_shards: int) -> str:
    """How many of a split's shards an earlier start had finished, for a person."""
    return "all" if num_done == num_shards else f"{num_done} of {num_shards}"


def counts_in_words(summary: SplitSummary) -> list[str]:
    """What became of records that are not as they were, a line each, with some of their ids."""
    lines = [
        f"  {title}: {count} {what}: {words.named(summary.named_ids[what], count)}"
        for title, counts in (("rejected", summary.rejects), ("changed", summary.changes))
        for what, count in sorted(counts.items())
    ]
    if summary.damaged_bytes:
        lines.append(f"  damaged: {summary.damaged_bytes} bytes that belong to no record")
    return lines


def judge(job: SplitJob, summary: SplitSummary) -> int:
    """Says on standard error what a person should look into; gives the exit status."""
    if summary.records_read == 0:
        warn_of_no_records(job.folder, summary)
    return judge_rejects(job, summary, [job.folder])


def warn_of_no_records(folder: SplitFolder, summary: SplitSummary) -> None:
    """Says on standard error why a job that read no record has made an empty split.

    Args:
        folder: of the split.
        summary: of all that the job has made.
    """
    why = "the input has no records"
    todo = "Did what wrote the input end?"
    if summary.left_out:
        why = f"--not_in leaves all {words.count(summary.left_out, 'clip')} of the input out"
        todo = "Does --input name the new ones?"
    words.warn(f"{why}: split {folder.split!r} of {folder.output} is empty. {todo}")


def judge_rejects(job: SplitJob, summary: SplitSummary, folders: Sequence[SplitFolder]) -> int:
    """Says on standard error where there are too many rejects, and what lists them; gives the exit status.

    Args:
        job: whose bound counts.
        summary: of all that the job has made.
        folders: the splits that have rejects.
    """
    if summary.reject_fraction <= job.max_reject_fraction:
        return EXIT_OK
    split = f" --split={folders[0].split}" if len(folders) == 1 else ""
    words.say(
        f"{summary.reject_fraction:.2%} of the records are rejects, above --max_reject_fraction="
        f"{job.max_reject_fraction:g}: `melbeam rejects {shlex.quote(job.folder.output)}{split}` says why"
    )
    return EXIT_REJECTS


def left_out_in_words(summary: SplitSummary, names: Iterable[str]) -> str:
    """The clips that `--not_in` left out, for a person; nothing where it was not asked for."""
    splits = ", ".join(names)
    return f", {summary.left_out} left out (in {splits} already)" if splits else ""
