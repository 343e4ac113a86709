"""One input file to one shard of features, with its rejects and its report."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import google_crc32c

from melbeam.pipelines import files
from melbeam.pipelines.defaults import MAX_CONVERT_SECONDS
from melbeam.pipelines.extracting.isolation import IsolatedConverter
from melbeam.pipelines.extracting.watchdog import WatchedConverter
from melbeam.pipelines.split.commit import Attempt
from melbeam.pipelines.split.leftovers import temporaries
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.split.reports import FileMark, ShardReport
from melbeam.pipelines.tfrecord import Damage, TFRecordWriter, read_tfrecord_file
from melbeam.transforms.beam_worker import RecordMetrics
from melbeam.transforms.folder_layout import SplitFolder, TemporaryName
from melbeam.transforms.records.conversion import ConfiguredConverter
from melbeam.transforms.records.examples import to_reject
from melbeam.transforms.records.index import encode_index
from melbeam.transforms.records.rejects import Reject, with_place
from melbeam.transforms.versions import versions

# A job whose records are mostly rejects is stopped after this many of a shard.
EARLY_STOP_RECORDS = 1000
EARLY_STOP_FRACTION = 0.5
_PROGRESS_SECONDS = 0.5
_LOG = logging.getLogger("melbeam")


class TooManyRejects(RuntimeError):
    """Most of the first records of a shard were rejects: the job is stopped early."""


class ShardExtractor:
    """Extracts shards with one converter.

    Args:
        folder: where the output goes.
        converter: of the process, a `RecordConverter`.
        job_hash: of the job, kept in every report.
        max_reject_fraction: the job's; the early stop never comes below it.
        max_convert_seconds: that one record may take.
    """

    def __init__(
        self,
        folder: SplitFolder,
        converter: ConfiguredConverter,
        job_hash: str,
        *,
        max_reject_fraction: float,
        max_convert_seconds: float = MAX_CONVERT_SECONDS,
    ) -> None:
        self._folder = folder
        self._converter = converter
        self._job_hash = job_hash
        self._early_stop_fraction = max(EARLY_STOP_FRACTION, max_reject_fraction)
        self._metrics = RecordMetrics()
        self._max_convert_seconds = max_convert_seconds

    def extract(self, shard: Shard) -> Attempt:
        """Makes an attempt at the shard: temporary files and, last, the attempt's report.

        Its progress file comes first, and goes with an exception. So one without a report is the mark of an
        attempt that never ended: a record may have killed the process, or hung it until the watchdog did. Then
        the records are converted in isolation, which finds the record.

        Raises:
            OSError: the input cannot be read or the output not be written.
            TooManyRejects: most of the first records are rejects.
        """
        attempt, start = uuid.uuid4().hex[:12], time.monotonic()
        path = {
            kind: self._folder.temporary(shard.index, attempt, kind)
            for kind in ("features", "rejects", "index", "report", "progress")
        }
        converter = self._guarded_converter(shard)
        progress = _Progress(path["progress"])
        progress.start()
        try:
            report = self._attempt(shard, path, converter, progress)
        except Exception:
            with suppress(OSError):  # what went wrong is told, not this
                files.delete([path["progress"]])
            raise
        seconds, elapsed = self._seconds(report.num_samples), time.monotonic() - start
        reasons = f" ({_in_words(report.rejects)})" if report.rejects else ""
        _LOG.info(
            f"{shard.name}: {report.records_read} records read = {report.records_converted} converted + "
            f"{report.num_rejects} rejected{reasons}; "
            f"{seconds:.0f} s of audio in {elapsed:.1f} s"
        )
        return Attempt(attempt, report)

    def _guarded_converter(self, shard: Shard) -> WatchedConverter | IsolatedConverter:
        names = [TemporaryName.parse(path) for path in temporaries(self._folder, shard.index)]
        begun = {name.attempt for name in names if name.kind == "progress"}
        if not begun - {name.attempt for name in names if name.kind == "report"}:
            return WatchedConverter(self._converter, self._max_convert_seconds)
        _LOG.warning(
            "%s: an earlier attempt never ended, so each record is converted in a process apart", shard.name
        )
        return IsolatedConverter(self._converter.front_end, self._converter.options, self._max_convert_seconds)

    def _attempt(
        self,
        shard: Shard,
        path: dict[str, str],
        guarded_converter: WatchedConverter | IsolatedConverter,
        progress: _Progress,
    ) -> ShardReport:
        report = ShardReport(
            job_hash=self._job_hash,
            index=shard.index,
            num_shards=shard.num_shards,
            input_path=shard.path,
            input_size=shard.size,
            features=FileMark(0, 0, 0),
            rejected=None,
            first_record=shard.span.number,
            versions=versions(),
        )
        max_record_bytes = self._converter.options.max_record_bytes
        index: list[tuple[int, int, int]] = []
        with (
            guarded_converter as converter,
            _record_file(path["features"]) as features,
            _LazyRecordFile(path["rejects"]) as rejects,
        ):
            for item in read_tfrecord_file(shard.path, max_record_bytes=max_record_bytes, span=shard.span):
                if shard.limit is not None and report.records_read >= shard.limit:
                    break
                source = f"{shard.path}#{item.number}"
                start = time.perf_counter()
                try:
                    if isinstance(item, Damage):
                        if item.reason == "bad_framing":
                            report.damaged_bytes += item.size
                        raise Reject(item.reason, with_place(item.detail, item.size, item.offset))
                    conversion = converter.convert(item.data, source)
                except Reject as reject:
                    rejects.write(to_reject(item.data, reject, source))
                    report.count_reject(reject.reason, reject.record_id or source)
                    self._metrics.rejected(reject.reason)
                    self._check_early_stop(report, shard)
                    continue
                for record in conversion.features:
                    index.append((features.num_bytes, len(record.example), record.num_frames))
                    features.write(record.example)
                report.count_conversion(conversion, shard.index)
                seconds, elapsed = self._seconds(conversion.num_samples), time.perf_counter() - start
                self._metrics.converted(len(conversion.features), seconds, elapsed)
                progress.update(self._seconds(report.num_samples))
        report.features = features.mark
        report.rejected = rejects.mark
        report.index_file = _write_index(path["index"], index)
        files.write_json(path["report"], report.to_dict())
        return report

    def _seconds(self, num_samples: int) -> float:
        return num_samples / self._converter.front_end.sampling_rate

    def _check_early_stop(self, report: ShardReport, shard: Shard) -> None:
        if report.records_read >= EARLY_STOP_RECORDS and report.reject_fraction > self._early_stop_fraction:
            raise TooManyRejects(
                f"{shard.name}: {report.num_rejects} of the first {report.records_read} records are rejects "
                f"({_in_words(report.rejects)}), more than {self._early_stop_fraction:.0%}: the job stops. "
                "Look at the reasons; --max_reject_fraction=1 goes on nevertheless"
            )


class _Progress:
    """Seconds of audio done by an attempt, in a small file that a local launcher's progress bar reads."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._written = 0.0

    def start(self) -> None:
        files.write_bytes(self._path, b"0.0")

    def update(self, seconds: float) -> None:
        now = time.monotonic()
        if files.is_local(self._path) and now - self._written >= _PROGRESS_SECONDS:
            self._written = now
            # What cannot be shown is no reason to stop; another attempt's commit may have removed the folder.
            with suppress(OSError), open(self._path, "w", encoding="utf-8") as file:
                json.dump(seconds, file)


class _RecordFile:
    """A TFRecord file being written; `mark` is known when it is closed."""

    def __init__(self, path: str) -> None:
        self._file = files.create_file(path)
        self._writer = TFRecordWriter(self._file)

    def write(self, record: bytes) -> None:
        self._writer.write(record)

    def close(self) -> None:
        self._file.close()

    @property
    def num_bytes(self) -> int:
        return self._writer.num_bytes

    @property
    def mark(self) -> FileMark:
        writer = self._writer
        return FileMark(writer.num_records, writer.num_bytes, writer.crc32c)


@contextmanager
def _record_file(path: str) -> Iterator[_RecordFile]:
    file = _RecordFile(path)
    try:
        yield file
    finally:
        file.close()


class _LazyRecordFile:
    """A `_RecordFile` that is there only once something was written to it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: _RecordFile | None = None

    def __enter__(self) -> _LazyRecordFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, record: bytes) -> None:
        if self._file is None:
            self._file = _RecordFile(self._path)
        self._file.write(record)

    @property
    def mark(self) -> FileMark | None:
        return None if self._file is None else self._file.mark


def _write_index(path: str, rows: list[tuple[int, int, int]]) -> FileMark:
    data = encode_index(rows)
    files.write_bytes(path, data)
    return FileMark(len(rows), len(data), google_crc32c.value(data))


def _in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
