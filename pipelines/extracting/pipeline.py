"""The steps of `melbeam extract` on Beam.

    plan -> Reshuffle -> find the parts of large files -> Reshuffle -> extract a shard -> Reshuffle -> commit it
         -> combine the reports -> metadata

Unit i of the input becomes output shard i; only paths and reports cross a Reshuffle.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import apache_beam as beam

from melbeam.pipelines.extracting.attempts import at_work
from melbeam.pipelines.extracting.shard_extractor import ShardExtractor
from melbeam.pipelines.extracting.tensorflow_setup import prepare_tensorflow
from melbeam.pipelines.split.beam_steps import committed_summary, planned_shards
from melbeam.pipelines.split.commit import Attempt, done_before
from melbeam.pipelines.split.ending import finish_whole_split
from melbeam.pipelines.split.job import Job
from melbeam.pipelines.split.known_ids import KnownIds, ids_to_leave_out
from melbeam.pipelines.split.metadata import write_metadata
from melbeam.pipelines.split.plan import Shard
from melbeam.transforms.beam_worker import SharedRecordConverter


class ExtractShard(beam.DoFn):
    """Shards to attempts; what an earlier start finished is not done again."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job
        self._shared = SharedRecordConverter(job.front_end, job.options)

    def process(self, element: Shard, known: KnownIds) -> Iterator[Attempt]:
        """Yields one attempt."""
        done = done_before(self._job.folder, element, self._job.hash, recheck=self._job.recheck)
        if done is not None:
            yield done
            return
        with at_work():  # loading TensorFlow is work too, which must not be cut off
            extractor = self._extractor()
        yield extractor.extract(element, known)

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


class ExtractDataset(beam.PTransform):
    """The whole job, from the plan's path to the metadata of a finished split."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def expand(self, pcoll: Any) -> beam.PCollection:
        """Applies to a pipeline."""
        job = self._job
        shards = planned_shards(pcoll, job.folder, job.options.max_record_bytes)
        known = ids_to_leave_out(pcoll, job.folder.output, job.not_in)
        attempts = shards | "ExtractShards" >> beam.ParDo(ExtractShard(job), known)
        write = partial(write_metadata, front_end=job.front_end, options=job.options)
        summary = committed_summary(attempts, job.folder)
        return summary | "WriteMetadata" >> beam.Map(finish_whole_split, job, job.num_shards, write)
