"""One unit of a source to a file of its clips, in their order, with the route of each: what ingest divides.

Clips are written once here and once to their shard, and no step on Beam ever holds one: what is grouped by shard
is where they lie.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from melbeam.pipelines import files, words
from melbeam.pipelines.ingesting.division import ID, order_of
from melbeam.pipelines.ingesting.job import DividedJob
from melbeam.pipelines.ingesting.routes import CLIP, LEFT_OUT, REJECT, UNKNOWN, encode_routes, key_in_order
from melbeam.pipelines.sources.units import AudioRecord, Item
from melbeam.pipelines.split.attempt_files import RecordFile, new_attempt, new_report, record_file, write_marked
from melbeam.pipelines.split.commit import Attempt
from melbeam.pipelines.split.known_ids import KnownIds
from melbeam.pipelines.split.plan import Shard
from melbeam.transforms.records.clip_length import microseconds_of
from melbeam.transforms.records.examples import audio_features, clip_id_in, id_in, to_reject
from melbeam.transforms.records.rejects import Reject

_LOG = logging.getLogger("melbeam")


class UnitGatherer:
    """Gathers units of a job.

    Args:
        job: that divides them.
        known: ids of the clips that are to be left out.
    """

    def __init__(self, job: DividedJob, known: KnownIds) -> None:
        self._job, self._known = job, known
        self._hash = job.hash

    def gather(self, shard: Shard) -> Attempt:
        """Makes an attempt at a unit: temporary files and, last, the attempt's report.

        Raises:
            OSError: the input cannot be read or the output not be written.
        """
        attempt, path = new_attempt(self._job.folder.gathered, shard.index, "features", "index", "report")
        rows: list[tuple[int, ...]] = []
        with record_file(path["features"]) as file:
            for number, item in enumerate(shard.read(self._job.max_record_bytes)):
                rows.append(self._written(item, shard.index, number, file))
        report = new_report(shard, self._hash)
        report.features = file.mark
        report.index_file = write_marked(path["index"], encode_routes(rows), len(rows))
        files.write_json(path["report"], report.to_dict())
        _LOG.info(f"{shard.name}: {words.count(len(rows), 'clip')} read, to be divided")
        return Attempt(attempt, report)

    def _written(self, item: Item, unit: int, number: int, file: RecordFile) -> tuple[int, ...]:
        """The route of an item, once it is written."""
        division, offset = self._job.division, file.num_bytes
        try:
            if not isinstance(item, AudioRecord):
                raise item.reject
            features = audio_features(item.data)
            clip_id = clip_id_in(features)
            if clip_id in self._known:
                # A reject's split only decides where it is counted, so a row that does not name it costs nothing.
                split = self._split_of(clip_id, item.data)
                return split, LEFT_OUT, self._key(clip_id, unit, number), offset, 0, UNKNOWN
            split = division.split_of(division.value_of(features, clip_id))
        except Reject as reject:
            if isinstance(item, AudioRecord) and reject.record_id is None:
                reject.record_id = id_in(item.data)
            record = to_reject(item.data, reject, item.place)
            file.write(record)
            split = self._split_of(reject.record_id, item.data)
            key = self._key(reject.record_id or item.place, unit, number)
            return split, REJECT, key, offset, len(record), UNKNOWN
        file.write(item.data)
        length = microseconds_of(features)
        key = self._key(clip_id, unit, number)
        return split, CLIP, key, offset, len(item.data), UNKNOWN if length is None else length

    def _key(self, name: str, unit: int, number: int) -> int:
        seed = self._job.division.seed
        return key_in_order(unit, number) if seed is None else order_of(name, seed)

    def _split_of(self, clip_id: str | None, record: bytes) -> int:
        """The split of a reject: that of its clip where it can be told, else the first one."""
        division = self._job.division
        with suppress(Reject):
            features = {} if division.split_by == ID else audio_features(record)
            if division.split_by != ID or clip_id is not None:
                return division.split_of(division.value_of(features, clip_id or ""))
        return 0
