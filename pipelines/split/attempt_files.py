"""The files that an attempt at a shard writes, and the report that it begins with."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import google_crc32c

from melbeam.pipelines import files
from melbeam.pipelines.sources.units import Damage, Item
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.split.reports import FileMark, ShardReport
from melbeam.pipelines.tfrecord import TFRecordWriter
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.records.examples import to_reject
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.versions import versions


def new_attempt(folder: SplitFolder, index: int, *kinds: str) -> tuple[str, dict[str, str]]:
    """A name for an attempt at a shard that no other has, and the paths of its files by their kinds."""
    name = uuid.uuid4().hex[:12]
    return name, {kind: folder.temporary(index, name, kind) for kind in kinds}


class RecordFile:
    """A TFRecord file being written; `mark` is known when it is closed."""

    def __init__(self, path: str) -> None:
        self._file = files.create_file(path)
        self._writer = TFRecordWriter(self._file)

    def write(self, *parts: bytes | memoryview) -> None:
        """Writes one record, which may come in parts."""
        self._writer.write(*parts)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    @property
    def num_bytes(self) -> int:
        """Written so far."""
        return self._writer.num_bytes

    @property
    def mark(self) -> FileMark:
        """What the file holds."""
        writer = self._writer
        return FileMark(writer.num_records, writer.num_bytes, writer.crc32c)


@contextmanager
def record_file(path: str) -> Iterator[RecordFile]:
    """A `RecordFile` that is closed at the end of the block."""
    file = RecordFile(path)
    try:
        yield file
    finally:
        file.close()


class LazyRecordFile:
    """A `RecordFile` that is there only once something was written to it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: RecordFile | None = None

    def __enter__(self) -> LazyRecordFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, record: bytes) -> None:
        """Writes one record."""
        if self._file is None:
            self._file = RecordFile(self._path)
        self._file.write(record)

    @property
    def mark(self) -> FileMark | None:
        """What the file holds; None where there is none."""
        return None if self._file is None else self._file.mark


def write_marked(path: str, data: bytes, num_records: int) -> FileMark:
    """Writes a small file of so many records; gives the mark of it."""
    files.write_bytes(path, data)
    return FileMark(num_records, len(data), google_crc32c.value(data))


def write_reject(item: Item, reject: Reject, file: LazyRecordFile, report: ShardReport) -> None:
    """Writes what was turned away, with the bytes as they were read, and counts it in the shard's report."""
    if isinstance(item, Damage):
        report.damaged_bytes += item.damaged_bytes
    file.write(to_reject(item.data, reject, item.place))
    report.count_reject(reject.reason, reject.record_id or item.place)


def new_report(shard: Shard, job_hash: str) -> ShardReport:
    """The report of an attempt at a shard, before anything is read or written."""
    return ShardReport(
        job_hash=job_hash,
        index=shard.index,
        num_shards=shard.num_shards,
        input_path=shard.path,
        input_size=shard.unit.size,
        features=FileMark(0, 0, 0),
        rejected=None,
        first_record=shard.unit.span.number,
        versions=versions(),
    )
