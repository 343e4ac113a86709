"""The steps of `melbeam extract` on Beam.

    plan -> Reshuffle -> find the parts of large files -> Reshuffle -> extract a shard -> Reshuffle -> commit it
         -> combine the reports -> metadata

Input file i becomes output shard i, or several if it is large; only paths and reports cross a Reshuffle. The
commit stands behind one so that, of two attempts at a shard, only the one whose report was taken is committed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from melbeam.pipelines.extracting.attempts import at_work
from melbeam.pipelines.extracting.shard_extractor import ShardExtractor
from melbeam.pipelines.extracting.tensorflow_setup import prepare_tensorflow
from melbeam.pipelines.split.commit import Attempt, commit, committed, finished_attempt
from melbeam.pipelines.split.ending import finish_split
from melbeam.pipelines.split.job import Job
from melbeam.pipelines.split.plan import Shard, find_parts, read_plan_by_file
from melbeam.pipelines.split.reports import ShardReport, SplitSummary
from melbeam.transforms.beam_worker import SharedRecordConverter
from melbeam.transforms.folder_layout import SplitFolder

_LOG = logging.getLogger("melbeam")


class ExtractShard(beam.DoFn):
    """Shards to attempts; what an earlier start finished is not done again."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job
        self._shared = SharedRecordConverter(job.front_end, job.options)

    def process(self, element: Shard) -> Iterator[Attempt]:
        """Yields one attempt."""
        folder, job_hash = self._job.folder, self._job.hash
        done = committed(folder, element, job_hash, recheck=self._job.recheck) or finished_attempt(
            folder, element, job_hash
        )
        if done is not None:
            _LOG.info("%s: done by an earlier start", element.name)
            yield done
            return
        with at_work():  # loading TensorFlow is work too, which must not be cut off
            extractor = self._extractor()
        yield extractor.extract(element)

    def _extractor(self) -> ShardExtractor:
        """Loads TensorFlow at the first shard that there is to do: a finished job starts without it."""
        prepare_tensorflow(gpu=self._job.gpu)
        return ShardExtractor(
            self._job.folder,
            self._shared.acquire(),
            self._job.hash,
            max_reject_fraction=self._job.max_reject_fraction,
            max_convert_seconds=self._job.max_convert_seconds,
        )


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
            | "WriteMetadata" >> beam.Map(lambda summary: finish_split(job, summary))
        )
