"""The steps on Beam that every job on a split has, before and behind the work on a shard.

    plan -> Reshuffle -> find the parts of large files -> Reshuffle -> (the work) -> Reshuffle -> commit a shard
         -> combine the reports

Only paths and reports cross a Reshuffle. The commit stands behind one so that, of two attempts at a shard, only
the one whose report was taken is committed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from melbeam.pipelines.split.commit import Attempt, commit
from melbeam.pipelines.split.plan import find_parts, read_plan_by_file
from melbeam.pipelines.split.reports import ShardReport, SplitSummary
from melbeam.transforms.folder_layout import SplitFolder


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


def planned_shards(pcoll: Any, folder: SplitFolder, max_record_bytes: int) -> beam.PCollection:
    """The shards of a split's plan, spread over the workers."""
    return (
        pcoll
        | "Plan" >> beam.Create([folder.plan])
        | "ReadPlan" >> beam.FlatMap(read_plan_by_file)
        | "SpreadFiles" >> beam.Reshuffle()
        | "FindParts" >> beam.FlatMap(find_parts, max_record_bytes)
        | "SpreadShards" >> beam.Reshuffle()
    )


def committed_summary(attempts: beam.PCollection, folder: SplitFolder) -> beam.PCollection:
    """The summary of all shards, once each of them is committed."""
    return (
        attempts
        | "FixAttempts" >> beam.Reshuffle()
        | "CommitShards" >> beam.ParDo(CommitShard(folder))
        | "SummariseReports" >> beam.CombineGlobally(SummariseReports())
    )
