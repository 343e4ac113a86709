"""The files that an attempt at a shard writes, and the report that it begins with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from melbeam.pipelines import files
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.split.reports import FileMark, ShardReport
from melbeam.pipelines.tfrecord import TFRecordWriter
from melbeam.transforms.versions import versions


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
