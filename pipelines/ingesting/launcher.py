"""The launcher of `melbeam ingest`: from parsed arguments to a plan, a job, its pipeline, and its last words."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor

import apache_beam as beam

from melbeam.pipelines import files, words
from melbeam.pipelines.beam_options import RunnerChoice, choose_runner
from melbeam.pipelines.defaults import SPLITS_EXAMPLE
from melbeam.pipelines.exit_status import EXIT_OK
from melbeam.pipelines.ingesting.division import ID, Division, check_first_records, parse_splits
from melbeam.pipelines.ingesting.job import DividedJob, IngestJob, check_none_is_left_behind
from melbeam.pipelines.ingesting.pipeline import DivideDataset, IngestDataset
from melbeam.pipelines.job_run import JobRun
from melbeam.pipelines.launching import (
    announce,
    at_work,
    counts_in_words,
    find_shards,
    inputs_in_words,
    judge,
    judge_rejects,
    left_out_in_words,
    read_summary,
    run_to_its_end,
    show_first_records,
    show_plan,
    some_of,
    warn_of_no_records,
)
from melbeam.pipelines.process_setup import prepare_process
from melbeam.pipelines.refusals import Refusal, UsageError, refused_as
from melbeam.pipelines.sources.arguments import source_options
from melbeam.pipelines.split.commit import committed
from melbeam.pipelines.split.known_ids import check_not_in
from melbeam.pipelines.split.leftovers import delete_gathered
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
    jobs = job.of_splits if isinstance(job, DividedJob) else [job]
    if arguments.overwrite:
        check_none_is_left_behind(jobs)
    announce(shards, choice)
    if arguments.dry_run:
        show(job, shards)
        show_first_records(shards)
        return EXIT_OK
    with at_work(jobs, shards, choice, overwrite=arguments.overwrite) as (job_run, num_done):
        is_done = isinstance(job, DividedJob) and is_finished(job)
        if is_done:
            delete_gathered(job.folder)  # of a start that was killed after its last step but this one
        elif not run_pipeline(job, choice, job_run):
            return EXIT_OK
    if isinstance(job, DividedJob):
        return tell_of_splits(job, num_done)
    summary = read_summary(job)
    print(in_words(job, summary, num_done))
    return judge(job, summary)


def plan_job(arguments: argparse.Namespace) -> tuple[IngestJob | DividedJob, list[Shard]]:
    """The job that the arguments ask for, and the plan of its input.

    Raises:
        ValueError: an argument is out of its bounds, or the input is none; the message says which and why.
        OSError: the input cannot be read.
    """
    splits = parse_splits(arguments.split)
    check_integer("--shard_bytes", arguments.shard_bytes, at_least=1)
    for name in ("num_shards", "limit"):
        if getattr(arguments, name) is not None:
            check_integer(f"--{name}", getattr(arguments, name), at_least=1)
    division = Division(splits, arguments.split_by, arguments.shuffle_seed)
    is_divided = "=" in arguments.split or arguments.shuffle_seed is not None
    if arguments.split_by != ID and len(splits) == 1:
        raise UsageError(
            Refusal.CONTRADICTION,
            f"--split_by={arguments.split_by} says by what clips are divided, and --split={arguments.split} names "
            f"one split: name several, --split={SPLITS_EXAMPLE}",
        )
    output = files.folder_path(arguments.output, "--output")
    folder = SplitFolder(output, division.names[0])
    files.check_writable(folder.output, folder.bookkeeping, given=f"--output={arguments.output}")
    bound = arguments.max_reject_fraction
    IngestJob(folder, "", 0, bound)  # a wrong bound is told before the input is looked at
    not_in = check_not_in(output, arguments.not_in, division.names)
    source = source_options(
        arguments,
        [SplitFolder(output, name) for name in division.names],
        shard_bytes=arguments.shard_bytes,
        # The number of a divided corpus's shards says nothing of how its input is cut.
        num_shards=None if is_divided else arguments.num_shards,
    )
    shards = find_shards(arguments, source, must_be_tfrecord=True)
    if not is_divided:
        return IngestJob(folder, plan_hash(shards), len(shards), bound, not_in), shards
    check_first_records((shard.unit for shard in shards), division)
    job = DividedJob(
        folder, division, plan_hash(shards), arguments.num_shards, arguments.shard_bytes, bound, not_in
    )
    return job, shards


def show(job: IngestJob | DividedJob, shards: list[Shard]) -> None:
    """Prints what would become what."""
    if isinstance(job, IngestJob):
        show_plan(job.folder, shards)
        return
    for shard in shards:
        for name in inputs_in_words(shard.unit):
            print(f"{name} -> {job.folder.output}, {' or '.join(job.division.names)}")


def run_pipeline(job: IngestJob | DividedJob, choice: RunnerChoice, job_run: JobRun) -> bool:
    """Runs the pipeline; whether it has ended, and was not only handed over."""
    pipeline = beam.Pipeline(options=choice.options)
    pipeline | (DivideDataset(job) if isinstance(job, DividedJob) else IngestDataset(job))
    return run_to_its_end(pipeline, choice, job_run)


def is_finished(job: DividedJob) -> bool:
    """Whether an earlier start finished all splits: what their clips were gathered in is gone then."""
    shards = []
    for of_split in job.of_splits:
        if not files.exists(of_split.folder.summary):
            return False
        count = len(SplitSummary.read(of_split.folder.summary).shard_features)
        shards += [(of_split.folder, job.shard(index, count)) for index in range(count)]
    with ThreadPoolExecutor(files.REQUESTS_AT_ONCE) as pool:
        return all(pool.map(lambda each: committed(each[0], each[1], job.hash) is not None, shards))


def tell_of_splits(job: DividedJob, num_done: int) -> int:
    """Prints what a job of several splits, or of a shuffled one, has made; gives the exit status."""
    summaries = {of_split.folder: read_summary(of_split) for of_split in job.of_splits}
    total = SplitSummary()
    for summary in summaries.values():
        total.add(summary)
    names = ", ".join(job.division.names)
    print(
        f"{job.folder.output}, {'split' if len(summaries) == 1 else 'splits'} {names}: "
        f"{total.in_words('clip', 'written')}{left_out_in_words(total, job.not_in)}"
    )
    num_shards = sum(len(summary.shard_features) for summary in summaries.values())
    for folder, summary in summaries.items():
        print(f"  {folder.split}: {_size_in_words(summary)}")
    if num_done:
        print(f"  {some_of(num_done, num_shards)} of the shards were done by an earlier start")
    for line in counts_in_words(total):
        print(line)
    for folder, summary in summaries.items():
        if not total.records_read:
            warn_of_no_records(folder, total)
        elif not summary.num_features and total.num_features:
            words.warn(
                f"split {folder.split!r} of {folder.output} is empty: none of the clips fell to it. Give "
                "it a larger fraction, or take more clips"
            )
    return judge_rejects(job, total, [folder for folder, summary in summaries.items() if summary.num_rejects])


def in_words(job: IngestJob, summary: SplitSummary, num_done: int) -> str:
    """The summary for a person."""
    done = ""
    if num_done:
        done = f"; {some_of(num_done, job.num_shards)} were done by an earlier start"
    lines = [
        f"{job.folder.output}, split {job.folder.split}: {summary.in_words('clip', 'written')}"
        f"{left_out_in_words(summary, job.not_in)}",
        f"  {_size_in_words(summary)}{done}",
    ]
    return "\n".join(lines + counts_in_words(summary))


def _size_in_words(summary: SplitSummary) -> str:
    """Clips, shards, bytes and hours; where some clips' length is unknown, of how many."""
    hours = f"{words.duration(summary.microseconds / 1e6)} of audio"
    if summary.unknown_lengths:
        hours += f", without {words.count(summary.unknown_lengths, 'clip')} whose length no header tells"
    return (
        f"{words.count(summary.num_features, 'clip')} in {words.count(len(summary.shard_features), 'shard')}, "
        f"{words.size(summary.num_bytes)}; {hours}"
    )
