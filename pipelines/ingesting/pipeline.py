"""The steps of `melbeam ingest` on Beam.

Where it neither divides nor shuffles, they are those of every split, with a shard's writer between them. Else

    plan -> Reshuffle -> find the parts -> Reshuffle -> gather a unit's clips, routed -> Reshuffle -> commit
         -> count the clips of all units, by split: how many shards each has, and who goes to which
         -> group the routes by split and shard -> write a shard -> Reshuffle -> commit -> combine the reports

Only paths, reports and routes cross a step, never a clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np

from melbeam.pipelines import files
from melbeam.pipelines.ingesting.divided_shard import DividedShardWriter, Slice
from melbeam.pipelines.ingesting.gathering import UnitGatherer
from melbeam.pipelines.ingesting.job import DividedJob, IngestJob
from melbeam.pipelines.ingesting.routes import Counted, decode_routes
from melbeam.pipelines.ingesting.shard_writer import ShardWriter
from melbeam.pipelines.split.beam_steps import SummariseReports, committed_summary, planned_shards
from melbeam.pipelines.split.commit import Attempt, commit, done_before
from melbeam.pipelines.split.ending import check_is_whole, finish_split, finish_whole_split
from melbeam.pipelines.split.job_file import check_owner
from melbeam.pipelines.split.known_ids import KnownIds, ids_to_leave_out
from melbeam.pipelines.split.leftovers import delete_gathered, half_written
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.split.reports import ShardReport, SplitSummary
from melbeam.transforms.folder_layout import SplitFolder

# Split, shard and the split's number of shards.
_Key = tuple[str, int, int]


class WriteShard(beam.DoFn):
    """Shards to attempts; what an earlier start finished is not done again."""

    def __init__(self, job: IngestJob) -> None:
        super().__init__()
        self._job = job

    def process(self, element: Shard, known: KnownIds) -> Iterator[Attempt]:
        """Yields one attempt."""
        done = done_before(self._job.folder, element, self._job.hash)
        yield ShardWriter(self._job, known).write(element) if done is None else done


class IngestDataset(beam.PTransform):
    """The whole job, from the plan's path to the summary of a finished split."""

    def __init__(self, job: IngestJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, pcoll: Any) -> beam.PCollection:
        """Applies to a pipeline."""
        job = self._job
        known = ids_to_leave_out(pcoll, job.folder.output, job.not_in)
        shards = planned_shards(pcoll, job.folder, job.max_record_bytes)
        attempts = shards | "WriteShards" >> beam.ParDo(WriteShard(job), known)
        summary = committed_summary(attempts, job.folder)
        return summary | "WriteSummary" >> beam.Map(finish_whole_split, job, job.num_shards, write_summary)


class GatherUnit(beam.DoFn):
    """Units of the input to attempts at their gathered files; what an earlier start gathered is not read again."""

    def __init__(self, job: DividedJob) -> None:
        super().__init__()
        self._job = job

    def process(self, element: Shard, known: KnownIds) -> Iterator[Attempt]:
        """Yields one attempt."""
        done = done_before(self._job.folder.gathered, element, self._job.hash)
        yield UnitGatherer(self._job, known).gather(element) if done is None else done


class CommitGathered(beam.DoFn):
    """Attempts at gathered files to their reports; of a split that is another job's by now nothing is written."""

    def __init__(self, job: DividedJob) -> None:
        super().__init__()
        self._job = job

    def process(self, element: Attempt) -> Iterator[ShardReport]:
        """Yields the unit's report."""
        check_owner(self._job.folder, self._job.hash)
        yield commit(self._job.folder.gathered, element)


class RouteUnit(beam.DoFn):
    """A gathered unit's report to the slices of it that go to each shard."""

    def __init__(self, job: DividedJob) -> None:
        super().__init__()
        self._job = job

    def process(self, element: ShardReport, counted: Counted) -> Iterator[tuple[_Key, Slice]]:
        """Yields a key and a slice for each shard that gets something of the unit."""
        job, path = self._job, self._job.folder.gathered.shard(element.index, element.num_shards)
        routes = _routes(job, element)
        for split in np.unique(routes["split"]).tolist():
            mine = routes[routes["split"] == split]
            count = counted.num_shards(split, job.num_shards, job.shard_bytes)
            shards = counted.shards_of(mine, count, is_shuffled=job.is_shuffled)
            for shard in np.unique(shards).tolist():
                part = Slice(element.index, path, mine[shards == shard].tobytes())
                yield (job.division.names[split], shard, count), part


class WriteDividedShard(beam.DoFn):
    """The slices of a shard to an attempt at it; what an earlier start finished is not done again."""

    def __init__(self, job: DividedJob) -> None:
        super().__init__()
        self._job = job

    def process(self, element: tuple[_Key, Iterable[Slice]]) -> Iterator[tuple[str, Attempt]]:
        """Yields the split's name, and one attempt."""
        (split, index, count), slices = element
        folder = self._job.of_split(split).folder
        shard = self._job.shard(index, count)
        done = done_before(folder, shard, self._job.hash)
        if done is None:
            done = DividedShardWriter(self._job).write(folder, shard, (part for part in slices if part.routes))
        yield split, done


class DivideDataset(beam.PTransform):
    """The whole job of several splits, or of a shuffled one, from the plan's path to all their summaries."""

    def __init__(self, job: DividedJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, pcoll: Any) -> beam.PCollection:
        """Applies to a pipeline."""
        job = self._job
        known = ids_to_leave_out(pcoll, job.folder.output, job.not_in)
        gathered = (
            planned_shards(pcoll, job.folder, job.max_record_bytes)
            | "GatherUnits" >> beam.ParDo(GatherUnit(job), known)
            | "FixGathered" >> beam.Reshuffle()
            | "CommitGathered" >> beam.ParDo(CommitGathered(job))
        )
        counted = beam.pvalue.AsSingleton(
            gathered
            | "CountUnits" >> beam.Map(_counted, job)
            | "CountClips" >> beam.CombineGlobally(Counted.merged)
        )
        slices = gathered | "RouteUnits" >> beam.ParDo(RouteUnit(job), counted)
        # A shard to which no clip goes is written too: it is the shard of an empty split.
        every = (
            pcoll
            | "Splits" >> beam.Create(list(enumerate(job.division.names)), reshuffle=False)
            | "AllShards" >> beam.FlatMap(_shards_of_split, job, counted)
        )
        return (
            (slices, every)
            | "Together" >> beam.Flatten()
            | "ByShard" >> beam.GroupByKey()
            | "WriteShards" >> beam.ParDo(WriteDividedShard(job))
            | "FixAttempts" >> beam.Reshuffle()
            | "CommitShards" >> beam.Map(_committed, job)
            | "SummariseSplits" >> beam.CombinePerKey(SummariseReports())
            | "AllSplits" >> beam.combiners.ToDict()
            | "WriteSummaries" >> beam.Map(_finish_divided, job, counted)
        )


def write_summary(folder: SplitFolder, summary: SplitSummary) -> None:
    """Writes what the split holds; all its shards are done by now."""
    files.write_json(folder.summary, summary.to_dict())
    files.delete(half_written(folder))


def _routes(job: DividedJob, report: ShardReport) -> np.ndarray:
    return decode_routes(files.read_bytes(job.folder.gathered.index(report.index)))


def _counted(report: ShardReport, job: DividedJob) -> Counted:
    return Counted.of_routes(_routes(job, report), is_shuffled=job.is_shuffled)


def _shards_of_split(split: tuple[int, str], job: DividedJob, counted: Counted) -> Iterator[tuple[_Key, Slice]]:
    number, name = split
    count = counted.num_shards(number, job.num_shards, job.shard_bytes)
    for index in range(count):
        yield (name, index, count), Slice(-1, "", b"")


def _committed(attempt: tuple[str, Attempt], job: DividedJob) -> tuple[str, ShardReport]:
    split, made = attempt
    return split, commit(job.of_split(split).folder, made)


def _finish_divided(summaries: dict[str, SplitSummary], job: DividedJob, counted: Counted) -> None:
    """Writes the summaries, and removes what was gathered: nothing needs it any more."""
    for number, name in enumerate(job.division.names):
        num_shards = counted.num_shards(number, job.num_shards, job.shard_bytes)
        summary = summaries.setdefault(name, SplitSummary())
        check_is_whole(job.of_split(name).folder, summary, num_shards, counted.num_clips(number))
    for name, summary in summaries.items():
        finish_split(job.of_split(name), summary, write_summary)
    delete_gathered(job.folder)
