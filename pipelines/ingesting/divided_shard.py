"""One shard of a divided corpus: its clips, from where they were gathered, in its order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from melbeam.pipelines import files, words
from melbeam.pipelines.ingesting.job import DividedJob
from melbeam.pipelines.ingesting.routes import CLIP, LEFT_OUT, ROUTE, UNKNOWN
from melbeam.pipelines.split.attempt_files import LazyRecordFile, new_attempt, new_report, record_file
from melbeam.pipelines.split.commit import Attempt
from melbeam.pipelines.split.plan import Shard
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.records.reject_record import read_reject
from melbeam.transforms.records.schema import RECORD_VERSION
from melbeam.transforms.records.tfrecord_frame import FOOTER, HEADER, data_of

_LOG = logging.getLogger("melbeam")


class Slice(NamedTuple):
    """The routes of one unit's clips that go to one shard."""

    unit: int
    path: str
    routes: bytes


class DividedShardWriter:
    """Writes shards of a job's splits; a clip is held no longer than it takes to copy it."""

    def __init__(self, job: DividedJob) -> None:
        self._job = job
        self._hash = job.hash

    def write(self, folder: SplitFolder, shard: Shard, slices: Iterable[Slice]) -> Attempt:
        """Makes an attempt at the shard: temporary files and, last, the attempt's report.

        Args:
            folder: of the split.
            shard: of the split; what is read is in the slices.
            slices: what goes to the shard, of each unit, in any order.

        Raises:
            OSError: what was gathered cannot be read, or the output not be written.
            ValueError: what was gathered is damaged.
        """
        attempt, path = new_attempt(folder, shard.index, "features", "rejects", "report")
        report = new_report(shard, self._hash)
        with record_file(path["features"]) as clips, LazyRecordFile(path["rejects"]) as rejects:
            for route, record in _records(list(slices)):
                if route["kind"] == CLIP:
                    clips.write(record)
                    length = int(route["microseconds"])
                    report.count_record(None if length == UNKNOWN else length)
                elif route["kind"] == LEFT_OUT:
                    report.left_out += 1
                else:
                    rejects.write(record)
                    reject = read_reject(record, RECORD_VERSION)
                    report.damaged_bytes += reject.damaged_bytes
                    report.count_reject(reject.reason, reject.name)
        report.features, report.rejected = clips.mark, rejects.mark
        files.write_json(path["report"], report.to_dict())
        _LOG.info(f"{folder.split}, {shard.name}: {words.count(report.records_converted, 'clip')} written")
        return Attempt(attempt, report)


def _records(slices: list[Slice]) -> Iterator[tuple[np.void, bytes]]:
    """Routes in their order, and the record of each; several of a store are fetched at once."""
    slices.sort()  # equal keys, as of one id that is given twice, are in the order of the input
    routes = [np.frombuffer(part.routes, ROUTE) for part in slices]
    which = np.repeat(np.arange(len(slices)), [len(part) for part in routes])
    joined = np.concatenate([np.zeros(0, ROUTE), *routes])
    order = np.argsort(joined["key"], kind="stable")
    waiting: deque[tuple[np.void, Future[bytes]]] = deque()
    with ThreadPoolExecutor(files.FETCHES_AT_ONCE, thread_name_prefix="melbeam-fetch") as pool:
        for row in order.tolist():
            path, route = slices[which[row]].path, joined[row]
            if files.is_local(path):
                yield route, _record(path, route)
                continue
            waiting.append((route, pool.submit(_record, path, route)))
            if len(waiting) >= files.FETCHES_AT_ONCE:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()


def _record(path: str, route: np.void) -> bytes:
    if route["kind"] == LEFT_OUT:
        return b""
    size = HEADER + int(route["size"]) + FOOTER
    frame = files.read_range(path, int(route["offset"]), size)
    try:
        return data_of(frame)
    except ValueError as error:
        place = f"{path}, byte {int(route['offset'])}"
        raise ValueError(f"{place}: what ingest gathered is damaged ({error}): remove that file") from error
