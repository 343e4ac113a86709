"""The launcher of `melbeam ingest`: from parsed arguments to a plan, a job, its pipeline, and its last words."""

from __future__ import annotations

import argparse
import sys

import apache_beam as beam

from melbeam.pipelines import files, words
from melbeam.pipelines.beam_options import RunnerChoice, choose_runner
from melbeam.pipelines.command_line import check_split, list_of
from melbeam.pipelines.exit_status import EXIT_OK, UsageError
from melbeam.pipelines.extracting.attempts import stopped_by_interruption
from melbeam.pipelines.extracting.launched import Launched
from melbeam.pipelines.ingesting.job import IngestJob
from melbeam.pipelines.ingesting.pipeline import IngestDataset
from melbeam.pipelines.process import prepare_process
from melbeam.pipelines.sources.arguments import source_options
from melbeam.pipelines.sources.planning import check_first_record, check_shards_are_complete
from melbeam.pipelines.split.job import FolderRefused, claim_folder
from melbeam.pipelines.split.launching import begin_split, judge, show_plan
from melbeam.pipelines.split.lock import Locked, SplitLock
from melbeam.pipelines.split.plan import Shard, limit_records, plan_hash, plan_shards
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.transforms.bounds import check_integer
from melbeam.transforms.folder_layout import SplitFolder


def run(arguments: argparse.Namespace, beam_arguments: list[str]) -> int:
    """Runs the job; gives the exit status.

    Raises:
        UsageError: the call was wrong, or the output folder was refused.
    """
    choice = choose_runner(beam_arguments)
    prepare_process(choice)
    try:
        job, shards = plan_job(arguments)
    except (ValueError, *files.REFUSALS) as error:
        raise UsageError(str(error)) from error
    announce(shards, choice.runner)
    if arguments.dry_run:
        show_plan(job.folder, shards)
        return EXIT_OK
    try:
        with SplitLock(job.folder) as lock:
            claim_folder(job, shards, overwrite=arguments.overwrite)
            num_done = begin_split(job, shards)
            with stopped_by_interruption(), Launched(job, lock, choice) as launched:
                if not run_pipeline(job, choice, launched):
                    return EXIT_OK
    except (FolderRefused, Locked, *files.REFUSALS) as error:
        raise UsageError(str(error)) from error
    summary = SplitSummary.from_dict(files.read_json(job.folder.summary))
    print(in_words(job, summary, num_done))
    return judge(job, summary)


def plan_job(arguments: argparse.Namespace) -> tuple[IngestJob, list[Shard]]:
    """The job that the arguments ask for, and its plan.

    Raises:
        ValueError: an argument is out of its bounds, or the input is none; the message says which and why.
        OSError: the input cannot be read.
    """
    check_split(arguments.split)
    check_integer("--shard_bytes", arguments.shard_bytes, at_least=1)
    if arguments.num_shards is not None:
        check_integer("--num_shards", arguments.num_shards, at_least=1)
    if arguments.limit is not None:
        check_integer("--limit", arguments.limit, at_least=1)
    folder = SplitFolder(files.folder_path(arguments.output, "--output"), arguments.split)
    files.check_writable(folder.output, folder.bookkeeping, given=f"--output={arguments.output}")
    IngestJob(folder, "", 0, arguments.max_reject_fraction)  # a wrong bound is told before the input is looked at
    source = source_options(arguments, shard_bytes=arguments.shard_bytes, num_shards=arguments.num_shards)
    shards, notes = plan_shards(list_of(arguments.input), source)
    if not arguments.allow_missing_shards:
        check_shards_are_complete(shard.unit for shard in shards)
    check_first_record((shard.unit for shard in shards), must_be_tfrecord=True)
    for line in notes.in_words():
        print(f"melbeam: {line}", file=sys.stderr)
    if arguments.limit is not None:
        shards = limit_records(shards, arguments.limit)
    return IngestJob(folder, plan_hash(shards), len(shards), arguments.max_reject_fraction), shards


def announce(shards: list[Shard], runner: str) -> None:
    """Says what is going to be done, and where."""
    size = sum(shard.unit.num_bytes for shard in shards)
    print(f"melbeam: {words.count(len(shards), 'shard')}, {words.size(size)}, on {runner}", file=sys.stderr)


def run_pipeline(job: IngestJob, choice: RunnerChoice, launched: Launched) -> bool:
    """Runs the pipeline; whether it has ended, and was not only handed over."""
    pipeline = beam.Pipeline(options=choice.options)
    pipeline | IngestDataset(job)
    result = pipeline.run()
    if choice.detached is not None:
        print(f"melbeam: {choice.detached}", file=sys.stderr)
        return False
    launched.wait(result)
    return True


def in_words(job: IngestJob, summary: SplitSummary, num_done: int) -> str:
    """The summary for a person."""
    done = ""
    if num_done:
        all_of_them = "all" if num_done == job.num_shards else f"{num_done} of {job.num_shards}"
        done = f"; {all_of_them} were done by an earlier start"
    lines = [
        f"{job.folder.output}, split {job.folder.split}: {words.count(summary.records_read, 'clip')} read = "
        f"{summary.records_converted} written + {summary.num_rejects} rejected",
        f"  {words.count(summary.num_features, 'clip')} in {words.count(job.num_shards, 'shard')}, "
        f"{words.size(summary.num_bytes)}{done}",
    ]
    for what, count in sorted(summary.rejects.items()):
        lines.append(f"  rejected: {count} {what}: {words.named(summary.named_ids[what], count)}")
    if summary.damaged_bytes:
        lines.append(f"  damaged: {summary.damaged_bytes} bytes that belong to no record")
    return "\n".join(lines)
