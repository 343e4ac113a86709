"""The steps of `melbeam ingest` on Beam: those of every split, with a shard's writer between them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from typing import Any

import apache_beam as beam

from melbeam.pipelines import files
from melbeam.pipelines.ingesting.job import IngestJob
from melbeam.pipelines.ingesting.shard_writer import ShardWriter
from melbeam.pipelines.split.beam_steps import committed_summary, planned_shards
from melbeam.pipelines.split.commit import Attempt, committed, finished_attempt
from melbeam.pipelines.split.ending import finish_split
from melbeam.pipelines.split.leftovers import half_written
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.transforms.folder_layout import SplitFolder

_LOG = logging.getLogger("melbeam")


class WriteShard(beam.DoFn):
    """Shards to attempts; what an earlier start finished is not done again."""

    def __init__(self, job: IngestJob) -> None:
        super().__init__()
        self._job = job

    def process(self, element: Shard) -> Iterator[Attempt]:
        """Yields one attempt."""
        folder, job_hash = self._job.folder, self._job.hash
        done = committed(folder, element, job_hash) or finished_attempt(folder, element, job_hash)
        if done is not None:
            _LOG.info("%s: done by an earlier start", element.name)
            yield done
            return
        yield ShardWriter(self._job).write(element)


class IngestDataset(beam.PTransform):
    """The whole job, from the plan's path to the summary of a finished split."""

    def __init__(self, job: IngestJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, pcoll: Any) -> beam.PCollection:
        """Applies to a pipeline."""
        job = self._job
        shards = planned_shards(pcoll, job.folder, job.max_record_bytes)
        attempts = shards | "WriteShards" >> beam.ParDo(WriteShard(job))
        return committed_summary(attempts, job.folder) | "WriteSummary" >> beam.Map(
            lambda summary: finish_split(job, partial(write_summary, summary, job.folder))
        )


def write_summary(summary: SplitSummary, folder: SplitFolder) -> None:
    """Writes what the split holds; all its shards are done by now."""
    files.write_json(folder.summary, summary.to_dict())
    files.delete(half_written(folder))
