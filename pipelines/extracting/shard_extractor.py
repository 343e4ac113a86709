"""One unit of a source to one shard of features, with its rejects and its report."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from melbeam.pipelines import files
from melbeam.pipelines.defaults import MAX_CONVERT_SECONDS
from melbeam.pipelines.extracting.attempts import at_work, check_not_stopped, must_be_isolated
from melbeam.pipelines.extracting.isolation import IsolatedConverter
from melbeam.pipelines.extracting.progress_file import Progress, ProgressFile
from melbeam.pipelines.extracting.watchdog import WatchedConverter
from melbeam.pipelines.sources.units import AudioRecord, Damage, Item
from melbeam.pipelines.split.attempt_files import (
    LazyRecordFile,
    RecordFile,
    new_attempt,
    new_report,
    record_file,
    write_marked,
    write_reject,
)
from melbeam.pipelines.split.commit import Attempt
from melbeam.pipelines.split.known_ids import NONE_KNOWN, KnownIds, is_known_record
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.split.reports import ShardReport
from melbeam.pipelines.split.table import TableOfShard
from melbeam.transforms.beam_worker import RecordMetrics
from melbeam.transforms.folder_layout import ShardName, SplitFolder
from melbeam.transforms.records.conversion import ConfiguredConverter, Conversion, Converter, Prepared
from melbeam.transforms.records.index import encode_index
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.tfrecord_frame import FOOTER, HEADER
from melbeam.transforms.statistics import ClipSums

# A job whose records are mostly rejects is stopped after this many of a shard.
EARLY_STOP_RECORDS = 1000
EARLY_STOP_FRACTION = 0.5
# What waits to be written together at most: of short clips and of rejects, there may be very many.
_MAX_WAITING, _MAX_WAITING_BYTES = 256, 32 << 20  # records, and 32 MiB of them
# Sums of clips that wait to be added together: as many cost little more than one.
_SUMS_WAITING = 256
# A clip that lasts longer or shorter than its manifest says, by more than this, is counted.
DURATION_TOLERANCE = 0.1  # seconds
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

    def extract(self, shard: Shard, known: KnownIds = NONE_KNOWN) -> Attempt:
        """Makes an attempt at the shard: temporary files and, last, the attempt's report.

        Its progress file comes first, and goes with an exception, as all that it wrote: `attempts` says what a
        progress file that stays tells.

        Args:
            shard: to be extracted.
            known: ids of the clips that are to be left out.

        Raises:
            OSError: the input cannot be read or the output not be written.
            TooManyRejects: most of the first records are rejects.
            Stopped: the process is being ended.
        """
        start = time.monotonic()
        attempt, path = new_attempt(
            self._folder, shard.index, "features", "rejects", "index", "table", "report", "progress"
        )
        with at_work():
            converter = self._guarded_converter(shard)
            progress = ProgressFile(path["progress"])
            progress.start()
            try:
                report = self._attempt(shard, known, path, converter, progress)
            except Exception:
                with suppress(OSError):  # what went wrong is told, not this
                    files.delete(list(path.values()))
                raise
        seconds, elapsed = self._seconds(report.num_samples), time.monotonic() - start
        reasons = f" ({_in_words(report.rejects)})" if report.rejects else ""
        _LOG.info(
            f"{shard.name}: {report.in_words('record', 'converted')}{reasons}; "
            f"{seconds:.0f} s of audio in {elapsed:.1f} s"
        )
        return Attempt(attempt, report)

    def _guarded_converter(self, shard: Shard) -> WatchedConverter | IsolatedConverter:
        if not must_be_isolated(self._folder, shard.index):
            return WatchedConverter(self._converter, self._max_convert_seconds)
        _LOG.warning(
            "%s: an earlier attempt never ended, so each record is converted in a process apart", shard.name
        )
        return IsolatedConverter(self._converter.front_end, self._converter.options, self._max_convert_seconds)

    def _attempt(
        self,
        shard: Shard,
        known: KnownIds,
        path: dict[str, str],
        guarded_converter: WatchedConverter | IsolatedConverter,
        progress: ProgressFile,
    ) -> ShardReport:
        report = new_report(shard, self._job_hash)
        with (
            guarded_converter as converter,
            record_file(path["features"]) as features,
            LazyRecordFile(path["rejects"]) as rejects,
        ):
            table = TableOfShard(ShardName(self._folder.split, shard.index, shard.num_shards))
            written = _Written(report, features, rejects, table)
            pack = _Pack(converter, self._converter.samples_at_once)
            for item in shard.read(self._converter.options.max_record_bytes):
                check_not_stopped()
                if known and isinstance(item, AudioRecord) and is_known_record(item.data, known):
                    report.left_out += 1
                    continue
                waiting = pack.prepare(item)
                if not pack.has_room_for(waiting):
                    self._write(pack, written, shard, progress)
                pack.add(waiting)
            self._write(pack, written, shard, progress)
            written.add_sums()
        report.features = features.mark
        report.rejected = rejects.mark
        report.index_file = write_marked(path["index"], encode_index(written.index), len(written.index))
        report.table = write_marked(path["table"], table.to_bytes(), table.num_rows)
        files.write_json(path["report"], report.to_dict())
        return report

    def _write(self, pack: _Pack, written: _Written, shard: Shard, progress: ProgressFile) -> None:
        """Writes and counts what has become of the records of a pack, in their order, and empties it."""
        for waiting, outcome, elapsed in pack.finish():
            item = waiting.item
            if isinstance(outcome, Reject):
                written.add_reject(item, outcome)
                self._metrics.rejected(outcome.reason)
                self._check_early_stop(written.report, shard)
                continue
            if isinstance(item, AudioRecord) and self._lasts_otherwise(outcome, item):
                outcome.changes.append("duration_differs")
            written.add_conversion(outcome)
            self._metrics.converted(len(outcome.features), self._seconds(outcome.num_samples), elapsed)
        progress.update(Progress(self._seconds(written.report.num_samples), pack.num_bytes_read))

    def _lasts_otherwise(self, conversion: Conversion, item: AudioRecord) -> bool:
        """Whether a clip's length differs from the one that its source names."""
        return (
            item.seconds is not None
            and abs(self._seconds(conversion.num_samples // conversion.num_channels) - item.seconds)
            > DURATION_TOLERANCE
        )

    def _seconds(self, num_samples: int) -> float:
        return num_samples / self._converter.front_end.sampling_rate

    def _check_early_stop(self, report: ShardReport, shard: Shard) -> None:
        if report.records_read >= EARLY_STOP_RECORDS and report.reject_fraction > self._early_stop_fraction:
            raise TooManyRejects(
                f"{shard.name}: {report.num_rejects} of the first {report.records_read} records are rejects "
                f"({_in_words(report.rejects)}), more than {self._early_stop_fraction:.0%}: the job stops, "
                "and would again. Look at the reasons; with --max_reject_fraction=1 it goes on nevertheless"
            )


@dataclass(frozen=True)
class _Waiting:
    """A record or a damage that is written when the pack that it waits in is finished.

    Attributes:
        item: as it was read.
        prepared: by the converter; or why there is nothing to convert.
        elapsed: seconds that this took.
    """

    item: Item
    prepared: Prepared | Reject
    elapsed: float

    @property
    def num_samples(self) -> int:
        """Samples that it takes of a call of the kernel."""
        return 0 if isinstance(self.prepared, Reject) else self.prepared.num_samples


class _Pack:
    """Records that are converted together, as many as fill a call of the kernel.

    Args:
        converter: that prepares and finishes them.
        samples_at_once: that it is worth to finish together.
    """

    def __init__(self, converter: Converter, samples_at_once: int) -> None:
        self._converter = converter
        self._samples_at_once = samples_at_once
        self._waiting: list[_Waiting] = []
        self._num_samples = self._num_bytes = 0
        self.num_bytes_read = 0  # by all packs so far

    def prepare(self, item: Item) -> _Waiting:
        """The next record, prepared, for this pack or for one after it."""
        start = time.perf_counter()
        prepared: Prepared | Reject
        try:
            if isinstance(item, Damage):
                raise item.reject
            prepared = self._converter.prepare(item.data, item.place)
        except Reject as reject:
            prepared = reject
        self.num_bytes_read += len(item.data)
        return _Waiting(item, prepared, time.perf_counter() - start)

    def has_room_for(self, waiting: _Waiting) -> bool:
        """Whether a record fits into the call that is being filled; without any, all do."""
        return not self._waiting or (
            self._num_samples + waiting.num_samples <= self._samples_at_once
            and self._num_bytes + len(waiting.item.data) <= _MAX_WAITING_BYTES
            and len(self._waiting) < _MAX_WAITING
        )

    def add(self, waiting: _Waiting) -> None:
        """Has a record wait for the others of the pack."""
        self._num_samples += waiting.num_samples
        self._num_bytes += len(waiting.item.data)
        self._waiting.append(waiting)

    def finish(self) -> Iterator[tuple[_Waiting, Conversion | Reject, float]]:
        """What became of each record, in order, and the seconds that it took; the pack is empty then."""
        waiting, self._waiting = self._waiting, []
        self._num_samples = self._num_bytes = 0
        start = time.perf_counter()
        prepared = [each.prepared for each in waiting if not isinstance(each.prepared, Reject)]
        outcomes = iter(self._converter.finish(prepared) if prepared else [])
        share = (time.perf_counter() - start) / max(1, len(prepared))
        for each in waiting:
            if isinstance(each.prepared, Reject):
                yield each, each.prepared, each.elapsed
            else:
                yield each, next(outcomes), each.elapsed + share


class _Written:
    """What an attempt has written of its shard, counted."""

    def __init__(
        self, report: ShardReport, features: RecordFile, rejects: LazyRecordFile, table: TableOfShard
    ) -> None:
        self.report = report
        self.index: list[tuple[int, int, int]] = []
        self._features, self._rejects, self._table = features, rejects, table
        self._sums: list[ClipSums] = []

    def add_reject(self, item: Item, reject: Reject) -> None:
        """Writes a reject, with the bytes as they were read."""
        write_reject(item, reject, self._rejects, self.report)

    def add_conversion(self, conversion: Conversion) -> None:
        """Writes the features of a record; their sums are added with others', the last ones by `add_sums`."""
        for record in conversion.features:
            offset = self._features.num_bytes
            self._features.write(*record.parts)
            size = self._features.num_bytes - offset - HEADER - FOOTER
            self.index.append((offset, size, record.num_frames))
            self._table.add(record.row)
            self._sums.append(record.sums)
        self.report.count_conversion(conversion, self.report.index)
        if len(self._sums) >= _SUMS_WAITING:
            self.add_sums()

    def add_sums(self) -> None:
        """Adds the sums of the features that were written since the last time."""
        self.report.statistics.add_clips(self._sums)
        self._sums = []


def _in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
