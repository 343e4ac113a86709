"""The launcher of `melbeam extract`: from parsed arguments to a plan, a job, its pipeline, and its last words."""

from __future__ import annotations

import argparse
import re
import time
from contextlib import nullcontext

import apache_beam as beam

from melbeam.pipelines import files, words
from melbeam.pipelines.beam_options import RunnerChoice, choose_runner
from melbeam.pipelines.command_line import check_split
from melbeam.pipelines.exit_status import EXIT_OK
from melbeam.pipelines.extracting.local_workers import set_local_workers
from melbeam.pipelines.extracting.pipeline import ExtractDataset
from melbeam.pipelines.extracting.progress import ProgressBar
from melbeam.pipelines.front_ends import front_end_or_refusal
from melbeam.pipelines.job_run import JobRun
from melbeam.pipelines.launching import (
    announce,
    at_work,
    counts_in_words,
    find_shards,
    judge,
    left_out_in_words,
    read_summary,
    run_to_its_end,
    show_first_records,
    show_plan,
    some_of,
)
from melbeam.pipelines.process_setup import prepare_process
from melbeam.pipelines.refusals import Refusal, UsageError, refused_as
from melbeam.pipelines.sources.arguments import source_options
from melbeam.pipelines.split.job import Job
from melbeam.pipelines.split.known_ids import check_not_in
from melbeam.pipelines.split.mixed_fields import mixed_field_lines
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.pipelines.split.tally import EMPTY_TEXT
from melbeam.transforms.bounds import check_integer
from melbeam.transforms.folder_layout import SplitFolder, file_name, folder_of, folder_of_dataset
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.schema import TEXT

# What TFDS makes of a class's name, and what it takes for the folder of a version.
_DATASET_NAME, _VERSION = re.compile(r"[a-z][a-z0-9_]*"), re.compile(r"\d+\.\d+\.\d+")


def run(arguments: argparse.Namespace, beam_arguments: list[str]) -> int:
    """Runs the job; gives the exit status.

    Raises:
        UsageError: the call was wrong, or the output folder was refused.
    """
    choice = choose_runner(beam_arguments)
    prepare_process(choice)
    with refused_as(Refusal.BAD_VALUE):
        job, shards = plan_job(arguments)
    announce(shards, choice, f"front end {job.front_end.name} ({job.front_end.short_fingerprint})")
    if arguments.dry_run:
        show_plan(job.folder, shards)
        show_first_records(shards)
        return EXIT_OK
    start = time.monotonic()
    with at_work([job], shards, choice, overwrite=arguments.overwrite) as (job_run, num_done):
        set_local_workers(choice, job, shards, num_done)
        if not run_pipeline(job, shards, choice, job_run):
            return EXIT_OK
    summary = read_summary(job)
    print(in_words(job, summary, num_done, time.monotonic() - start))
    for line in mixed_field_lines({job.folder.split: summary}, job.front_end).values():
        words.warn(line)
    return judge(job, summary)


def plan_job(arguments: argparse.Namespace) -> tuple[Job, list[Shard]]:
    """The job that the arguments ask for, and its plan.

    Raises:
        ValueError: an argument is out of its bounds, or the input is none; the message says which and why.
        OSError: the input cannot be read.
    """
    check_split(arguments.split)
    check_integer("--shard_bytes", arguments.shard_bytes, at_least=1)
    if arguments.limit is not None:
        check_integer("--limit", arguments.limit, at_least=1)
    front_end = front_end_or_refusal(arguments.front_end)
    if arguments.normalize_by is not None:
        statistics, split = _statistics_and_split(arguments.normalize_by)
        with refused_as(Refusal.BAD_STATISTICS):
            front_end = front_end.normalized_by(statistics, split or "train")
    record_options = RecordOptions.of(vars(arguments))
    output = files.folder_path(arguments.output, "--output")
    if arguments.dataset_name is not None:
        output = _folder_of(arguments.dataset_name, output)
    folder = SplitFolder(output, arguments.split)
    files.check_writable(folder.output, folder.bookkeeping, given=f"--output={arguments.output}")
    # A wrong bound is refused here, before the input is looked at.
    job = Job.of(
        folder,
        front_end,
        record_options,
        [],
        max_reject_fraction=arguments.max_reject_fraction,
        max_convert_seconds=arguments.max_convert_seconds,
        gpu=arguments.gpu,
        recheck=arguments.recheck,
        dataset_name=arguments.dataset_name,
        not_in=check_not_in(folder.output, arguments.not_in, [arguments.split]),
        rejects=getattr(arguments, "rejects", None),  # retry-rejects alone has it
    )
    source = source_options(arguments, [folder], shard_bytes=None if arguments.limit else arguments.shard_bytes)
    shards = find_shards(arguments, source, raw_samples=record_options.audio_format == "pcm_s16le")
    return job.with_plan(shards), shards


def _statistics_and_split(given: str) -> tuple[str, str]:
    """The path and the split in `FILE#SPLIT`; a path may have a `#` of its own."""
    path, mark, split = given.rpartition("#")
    if not mark or "/" in split or files.exists(given):
        return given, ""
    return path, split


def _folder_of(dataset_name: str, output: str) -> str:
    """The folder in which TFDS finds a data set by its name.

    Raises:
        UsageError: TFDS would not find it.
    """
    if not _DATASET_NAME.fullmatch(dataset_name):
        raise UsageError(
            Refusal.BAD_VALUE,
            "--dataset_name must be lower-case letters, digits and underscores, a letter first, as TFDS spells "
            f"names (my_corpus), got {dataset_name!r}",
        )
    if _VERSION.fullmatch(file_name(output)):
        above = folder_of(output)
        raise UsageError(
            Refusal.CONTRADICTION,
            f"--output={output} names a version, and --dataset_name={dataset_name} makes the folders of name and "
            f"version itself: --output={above} gives {folder_of_dataset(above, dataset_name)}",
        )
    return folder_of_dataset(output, dataset_name)


def run_pipeline(job: Job, shards: list[Shard], choice: RunnerChoice, job_run: JobRun) -> bool:
    """Runs the pipeline; whether it has ended, and was not only handed over."""
    watched = choice.local and files.is_local(job.folder.output)
    with ProgressBar(job.folder, shards, job.front_end.sampling_rate) if watched else nullcontext():
        pipeline = beam.Pipeline(options=choice.options)
        pipeline | ExtractDataset(job)
        return run_to_its_end(pipeline, choice, job_run)


def in_words(job: Job, summary: SplitSummary, num_done: int, elapsed: float) -> str:
    """The summary for a person.

    Args:
        job: that has ended.
        summary: of the whole split.
        num_done: shards that an earlier start had finished.
        elapsed: seconds that this start took.
    """
    seconds = summary.num_samples / job.front_end.sampling_rate
    took = f"{words.duration(seconds)} of audio in {words.duration(elapsed)}"
    speed = seconds / elapsed
    if num_done:
        all_of_them = some_of(num_done, job.num_shards)
        how = "read again" if job.recheck else "taken by size and report, --recheck reads"
        took = f"{words.duration(seconds)} of audio; {all_of_them} were done by an earlier start ({how})"
    elif speed >= 1:  # less says only how long a start takes
        took += f": {speed:.0f} times real time"
    lines = [
        f"{job.folder.output}, split {job.folder.split}: {summary.in_words('record', 'converted')}"
        f"{left_out_in_words(summary, job.not_in)}",
        f"  {words.count(summary.num_features, 'feature record')} in "
        f"{words.count(len(summary.shard_features), 'shard')}, {words.size(summary.num_bytes)}; {took}",
    ]
    return "\n".join(lines + counts_in_words(summary) + _texts_in_words(summary))


def _texts_in_words(summary: SplitSummary) -> list[str]:
    """How many records have a text, where not all have, and how many chunks one that is not theirs alone."""
    lines = []
    num_texts = summary.fields[TEXT].num_records if TEXT in summary.fields else 0
    num_empty = summary.empty_texts
    if num_empty or 0 < num_texts < summary.num_features:
        of_all = words.count(summary.num_features, "feature record")
        has = "has" if summary.num_features == 1 else "have"
        ids = words.named(summary.named_ids.get(EMPTY_TEXT, ()), num_empty)
        empty = f", in {num_empty} it is empty ({ids})" if num_empty else ""
        lines.append(
            f"  text: {num_texts - num_empty} of {of_all} {has} one{empty}; --require=text turns the others away"
        )
    num_chunks = summary.whole_texts
    if not num_chunks:
        return lines
    have = (
        "chunk has the text of its whole clip" if num_chunks == 1 else "chunks have the text of their whole clip"
    )
    return [
        *lines,
        f"  text: {num_chunks} {have}, since nothing says where in it each word is: text_is_of_whole_clip is 1",
    ]
