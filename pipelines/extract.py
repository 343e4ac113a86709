"""melbeam extract: audio TFRecords in, feature TFRecords out.

    plan -> Reshuffle -> find the parts of large files -> Reshuffle -> extract a shard -> Reshuffle -> commit it
         -> combine the reports -> metadata

Input file i becomes output shard i, or several if it is large; only paths and reports cross a Reshuffle. The
commit stands behind one so that, of two attempts at a shard, only the one whose report was taken is committed.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import fields as dataclass_fields
from typing import Any

import apache_beam as beam

from melbeam.pipelines import files, options
from melbeam.pipelines.extracting.progress import ProgressBar
from melbeam.pipelines.extracting.shard_extractor import ShardExtractor
from melbeam.pipelines.extracting.watchdog import MAX_CONVERT_SECONDS
from melbeam.pipelines.split.commit import Attempt, commit, committed, finished_attempt
from melbeam.pipelines.split.job import FolderRefused, Job, claim_folder
from melbeam.pipelines.split.lock import Locked, SplitLock
from melbeam.pipelines.split.metadata import write_metadata
from melbeam.pipelines.split.plan import (
    MAX_SHARD_BYTES,
    Shard,
    find_parts,
    limit_records,
    plan_shards,
    read_plan_by_file,
    write_plan,
)
from melbeam.pipelines.split.reports import ShardReport, SplitSummary
from melbeam.pipelines.tfrecord import Record, read_tfrecord_file
from melbeam.transforms.beam_worker import SharedRecordConverter
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.presets import find_front_end
from melbeam.transforms.records.examples import colliding_names
from melbeam.transforms.records.options import CHOICES, RecordOptions

DESCRIPTION = "Audio TFRecords in, log-mel feature TFRecords out. Beam's own options are taken too."
_LOG = logging.getLogger("melbeam")


class ExtractShard(beam.DoFn):
    """Shards to attempts; what an earlier start finished, and a checksum confirms, is not done again."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job
        self._shared = SharedRecordConverter(job.front_end, job.options)

    def setup(self) -> None:
        """Loads TensorFlow."""
        import tensorflow as tf  # workers only

        try:
            # Shards run side by side on harness threads: TensorFlow's own would only fight with them.
            tf.config.threading.set_intra_op_parallelism_threads(1)
        except RuntimeError:
            _LOG.debug("TensorFlow runs already; its threads are left as they are")
        self._extractor = ShardExtractor(
            self._job.folder,
            self._shared.acquire(),
            self._job.hash,
            max_reject_fraction=self._job.max_reject_fraction,
            max_convert_seconds=self._job.max_convert_seconds,
        )

    def process(self, element: Shard) -> Iterator[Attempt]:
        """Yields one attempt."""
        folder, job_hash = self._job.folder, self._job.hash
        done = committed(folder, element, job_hash) or finished_attempt(folder, element, job_hash)
        if done is not None:
            _LOG.info("%s: done by an earlier start", element.name)
            yield done
            return
        yield self._extractor.extract(element)


class CommitShard(beam.DoFn):
    """Attempts to reports of committed shards."""

    def __init__(self, folder: SplitFolder) -> None:
        super().__init__()
        self._folder = folder

    def process(self, element: Attempt) -> Iterator[ShardReport]:
        """Yields the shard's report."""
        yield commit(self._folder, element)


class SummariseReports(beam.CombineFn):
    """Reports to the summary of the split."""

    def create_accumulator(self) -> SplitSummary:
        """Nothing yet."""
        return SplitSummary()

    def add_input(self, mutable_accumulator: SplitSummary, element: ShardReport) -> SplitSummary:
        """Adds a shard."""
        mutable_accumulator.add_shard(element)
        return mutable_accumulator

    def merge_accumulators(self, accumulators: Any) -> SplitSummary:
        """Adds them all."""
        total = SplitSummary()
        for accumulator in accumulators:
            total.add_summary(accumulator)
        return total

    def extract_output(self, accumulator: SplitSummary) -> SplitSummary:
        """The summary itself."""
        return accumulator


class ExtractDataset(beam.PTransform):
    """The whole job, from the plan's path to the metadata of a finished split."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def expand(self, pcoll: Any) -> beam.PCollection:
        """Applies to a pipeline."""
        job = self._job
        return (
            pcoll
            | "Plan" >> beam.Create([job.folder.plan])
            | "ReadPlan" >> beam.FlatMap(read_plan_by_file)
            | "SpreadFiles" >> beam.Reshuffle()
            | "FindParts" >> beam.FlatMap(find_parts, job.options.max_record_bytes)
            | "SpreadShards" >> beam.Reshuffle()
            | "ExtractShards" >> beam.ParDo(ExtractShard(job))
            | "FixAttempts" >> beam.Reshuffle()
            | "CommitShards" >> beam.ParDo(CommitShard(job.folder))
            | "SummariseReports" >> beam.CombineGlobally(SummariseReports())
            | "WriteMetadata"
            >> beam.Map(lambda summary: write_metadata(job.folder, summary, job.front_end, job.options))
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of extract."""
    parser.add_argument("--input", required=True, action="append", help="glob of audio TFRecords; may be repeated")
    parser.add_argument("--output", required=True, help="folder of the features, features/1.0.0 for example")
    add_split_arguments(parser)


def add_split_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of them that say how a split is made, not of what or where."""
    parser.add_argument("--split", default="train", help="name of the split")
    parser.add_argument(
        "--front_end", default="gemma4", help="a shipped name, a YAML file, or a preset (melbeam presets)"
    )
    defaults = {field.name: field.default for field in dataclass_fields(RecordOptions)}
    helps = {
        "precision": "of window and FFT",
        "dtype": "of the stored features",
        "encoding": "of the stored features; float_list for old readers",
        "on_long": "what becomes of a clip longer than the front end takes",
        "audio_format": "encoded (WAV, FLAC, MP3, Ogg), or raw 16-bit samples",
    }
    for name, text in helps.items():
        parser.add_argument(f"--{name}", choices=CHOICES[name], default=defaults[name], help=text)
    parser.add_argument(
        "--pad_to_max_length",
        nargs="?",
        const="on",
        choices=("auto", "on", "off"),
        default=defaults["pad_to_max_length"],
        help="store every clip at the model's full length; auto: where the model takes no mask",
    )
    parser.add_argument("--pcm_sampling_rate", type=int, help="Hz of raw samples")
    parser.add_argument(
        "--max_audio_seconds", type=float, default=defaults["max_audio_seconds"], help="longer clips are rejects"
    )
    parser.add_argument(
        "--max_record_bytes", type=int, default=defaults["max_record_bytes"], help="larger records are rejects"
    )
    parser.add_argument(
        "--max_shard_bytes",
        type=int,
        default=MAX_SHARD_BYTES,
        help="a larger input file becomes several shards, unless it is compressed, or with --limit",
    )
    parser.add_argument(
        "--max_convert_seconds",
        type=float,
        default=MAX_CONVERT_SECONDS,
        help="a record that takes longer ends the process, and is a reject at the next attempt",
    )
    parser.add_argument("--max_reject_fraction", type=float, default=0.01, help="exit status 3 above it")
    parser.add_argument("--limit", type=int, help="records to read at most, of the whole input")
    parser.add_argument("--overwrite", action="store_true", help="replace the split if it is there already")
    parser.add_argument("--dry_run", action="store_true", help="show the plan; do nothing")


def run(arguments: argparse.Namespace, beam_arguments: list[str]) -> int:
    """Runs the job; gives the exit status.

    Raises:
        UsageError: the call was wrong, or the output folder was refused.
    """
    beam_options, runner, local = options.pipeline_options(beam_arguments)
    patterns = [arguments.input] if isinstance(arguments.input, str) else arguments.input
    try:
        front_end = find_front_end(arguments.front_end)
        record_options = RecordOptions(
            **{field.name: getattr(arguments, field.name) for field in dataclass_fields(RecordOptions)}
        )
        record_options.pads(front_end)
        if not 0 <= arguments.max_reject_fraction <= 1:
            raise ValueError(f"--max_reject_fraction must be in [0, 1], got {arguments.max_reject_fraction}")
        if not 0 < arguments.max_convert_seconds <= 1e6:
            raise ValueError(f"--max_convert_seconds must be in (0, 1e6], got {arguments.max_convert_seconds}")
        if arguments.limit is not None and arguments.limit < 1:
            raise ValueError(f"--limit must be at least 1, got {arguments.limit}")
        options.check_split(arguments.split)
        if arguments.max_shard_bytes < 1:
            raise ValueError(f"--max_shard_bytes must be at least 1, got {arguments.max_shard_bytes}")
        shards = plan_shards(patterns, arguments.max_shard_bytes if arguments.limit is None else None)
        _check_first_record(shards)
        if arguments.limit is not None:
            shards = limit_records(shards, arguments.limit)
    except (ValueError, *files.REFUSALS) as error:
        raise options.UsageError(str(error)) from error
    folder = SplitFolder(arguments.output.rstrip("/"), arguments.split)
    job = Job.of(
        folder,
        front_end,
        record_options,
        arguments.max_reject_fraction,
        shards,
        arguments.max_convert_seconds,
    )
    size = sum(shard.num_bytes for shard in shards)
    print(
        f"melbeam: {len(shards)} shards, {size / 2**20:.1f} MiB, front end {front_end.name} "
        f"({front_end.fingerprint[:16]}), on {runner}",
        file=sys.stderr,
    )
    if arguments.dry_run:
        for shard in shards:
            print(f"{shard.source} ({shard.num_bytes} bytes) -> {folder.shard(shard.index, shard.num_shards)}")
        return options.EXIT_OK
    start = time.monotonic()
    watched = local and files.is_local(folder.output)
    try:
        with SplitLock(folder):
            claim_folder(job, overwrite=arguments.overwrite)
            write_plan(folder.plan, shards)
            with ProgressBar(folder, shards, front_end.sampling_rate) if watched else nullcontext():
                pipeline = beam.Pipeline(options=beam_options)
                pipeline | ExtractDataset(job)
                result = pipeline.run()
                given = beam_options.get_all_options()
                if not local and given.get("template_location"):
                    print(f"melbeam: the template is {given['template_location']}", file=sys.stderr)
                    return options.EXIT_OK
                if not local and given.get("no_wait_until_finish"):
                    print("melbeam: the job was accepted", file=sys.stderr)
                    return options.EXIT_OK
                result.wait_until_finish()
    except (FolderRefused, Locked, *files.REFUSALS) as error:
        raise options.UsageError(str(error)) from error
    summary = SplitSummary.from_dict(files.read_json(folder.summary))
    print(in_words(folder, summary, front_end, time.monotonic() - start))
    if summary.reject_fraction > arguments.max_reject_fraction:
        print(
            f"melbeam: {summary.reject_fraction:.2%} of the records are rejects, above --max_reject_fraction="
            f"{arguments.max_reject_fraction:g}: look into {folder.rejects_folder}",
            file=sys.stderr,
        )
        return options.EXIT_REJECTS
    return options.EXIT_OK


def _check_first_record(shards: list[Shard]) -> None:
    """Looks at one record before any work: what would make every record a reject is refused at the start.

    Raises:
        UsageError: it has features that melbeam writes itself.
    """
    for shard in shards:
        if shard.size == 0:
            continue
        first = next(read_tfrecord_file(shard.path), None)
        names = colliding_names(first.data) if isinstance(first, Record) else []
        if names:
            raise options.UsageError(
                f"the first record of {shard.path} has features {', '.join(names)}, names that melbeam writes "
                "itself: rename them, or is this --input the output of an earlier extract?"
            )
        return


def in_words(folder: SplitFolder, summary: SplitSummary, front_end: FrontEnd, elapsed: float) -> str:
    """The summary for a person."""
    seconds = summary.num_samples / front_end.sampling_rate
    lines = [
        f"{folder.output}, split {folder.split}: {summary.records_read} records read = "
        f"{summary.records_converted} converted + {summary.num_rejects} rejected",
        f"  {summary.num_features} feature records in {len(summary.shard_features)} shards, "
        f"{summary.num_bytes / 2**20:.1f} MiB; {seconds:.1f} s of audio in {elapsed:.1f} s: "
        f"{seconds / elapsed:.0f} times real time",
    ]
    for title, counts in (("rejected", summary.rejects), ("changed", summary.changes)):
        for what, count in sorted(counts.items()):
            lines.append(f"  {title}: {count} {what}, for example {', '.join(summary.named_ids[what])}")
    if summary.damaged_bytes:
        lines.append(f"  damaged: {summary.damaged_bytes} bytes that belong to no record")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; gives the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    return options.exit_status(lambda: run(*options.parse(add_arguments, "melbeam extract", DESCRIPTION, argv)))


if __name__ == "__main__":
    sys.exit(main())
