"""The launcher of `melbeam ingest`: from parsed arguments to a plan, a job, its pipeline, and its last words."""

from __future__ import annotations

import argparse
import sys

import apache_beam as beam

from melbeam.pipelines import files, words
from melbeam.pipelines.beam_options import RunnerChoice, choose_runner
from melbeam.pipelines.command_line import check_split
from melbeam.pipelines.exit_status import EXIT_OK
from melbeam.pipelines.extracting.launched import Launched
from melbeam.pipelines.ingesting.job import IngestJob
from melbeam.pipelines.ingesting.pipeline import IngestDataset
from melbeam.pipelines.launching import (
    at_work,
    counts_in_words,
    find_shards,
    judge,
    read_summary,
    run_to_its_end,
    show_plan,
    some_of,
)
from melbeam.pipelines.process import prepare_process
from melbeam.pipelines.refusals import Refusal, refused_as
from melbeam.pipelines.sources.arguments import source_options
from melbeam.pipelines.split.plan import Shard, plan_hash
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
    with refused_as(Refusal.BAD_VALUE):
        job, shards = plan_job(arguments)
    announce(shards, choice.runner)
    if arguments.dry_run:
        show_plan(job.folder, shards)
        return EXIT_OK
    with at_work(job, shards, choice, overwrite=arguments.overwrite) as (launched, num_done):
        if not run_pipeline(job, choice, launched):
            return EXIT_OK
    summary = read_summary(job)
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
    shards = find_shards(arguments, source, must_be_tfrecord=True)
    return IngestJob(folder, plan_hash(shards), len(shards), arguments.max_reject_fraction), shards


def announce(shards: list[Shard], runner: str) -> None:
    """Says what is going to be done, and where."""
    size = sum(shard.unit.num_bytes for shard in shards)
    print(f"melbeam: {words.count(len(shards), 'shard')}, {words.size(size)}, on {runner}", file=sys.stderr)


def run_pipeline(job: IngestJob, choice: RunnerChoice, launched: Launched) -> bool:
    """Runs the pipeline; whether it has ended, and was not only handed over."""
    pipeline = beam.Pipeline(options=choice.options)
    pipeline | IngestDataset(job)
    return run_to_its_end(pipeline, choice, launched)


def in_words(job: IngestJob, summary: SplitSummary, num_done: int) -> str:
    """The summary for a person."""
    done = ""
    if num_done:
        done = f"; {some_of(num_done, job.num_shards)} were done by an earlier start"
    lines = [
        f"{job.folder.output}, split {job.folder.split}: {words.count(summary.records_read, 'clip')} read = "
        f"{summary.records_converted} written + {summary.num_rejects} rejected",
        f"  {words.count(summary.num_features, 'clip')} in {words.count(job.num_shards, 'shard')}, "
        f"{words.size(summary.num_bytes)}{done}",
    ]
    return "\n".join(lines + counts_in_words(summary))
