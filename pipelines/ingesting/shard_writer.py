"""One unit of a source to one shard of audio TFRecords, with its rejects and its report; nothing is shuffled."""

from __future__ import annotations

import logging

from melbeam.pipelines import files
from melbeam.pipelines.ingesting.job import IngestJob
from melbeam.pipelines.sources.units import AudioRecord
from melbeam.pipelines.split.attempt_files import (
    LazyRecordFile,
    new_attempt,
    new_report,
    record_file,
    write_reject,
)
from melbeam.pipelines.split.commit import Attempt
from melbeam.pipelines.split.known_ids import KnownIds, is_known
from melbeam.pipelines.split.plan import Shard
from melbeam.transforms.records.clip_length import microseconds_of
from melbeam.transforms.records.examples import features_if_any

_LOG = logging.getLogger("melbeam")


class ShardWriter:
    """Writes shards of a job.

    Args:
        job: whose shards they are.
        known: ids of the clips that are to be left out.
    """

    def __init__(self, job: IngestJob, known: KnownIds) -> None:
        self._job, self._known = job, known
        self._hash = job.hash

    def write(self, shard: Shard) -> Attempt:
        """Makes an attempt at the shard: temporary files and, last, the attempt's report.

        Raises:
            OSError: the input cannot be read or the output not be written.
        """
        attempt, path = new_attempt(self._job.folder, shard.index, "features", "rejects", "report")
        report = new_report(shard, self._hash)
        with record_file(path["features"]) as records, LazyRecordFile(path["rejects"]) as rejects:
            for item in shard.read(self._job.max_record_bytes):
                if isinstance(item, AudioRecord):
                    features = features_if_any(item.data)
                    if is_known(features, self._known):
                        report.left_out += 1
                        continue
                    records.write(item.data)
                    report.count_record(microseconds_of(features))
                else:
                    write_reject(item, item.reject, rejects, report)
        report.features, report.rejected = records.mark, rejects.mark
        files.write_json(path["report"], report.to_dict())
        _LOG.info(f"{shard.name}: {report.in_words('clip', 'written')}")
        return Attempt(attempt, report)
