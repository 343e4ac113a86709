"""The shards of a split: every byte is read, and all that a report says is counted again from the records.

Each input record must have become features or a reject, once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from itertools import groupby, islice
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from melbeam.pipelines import files
from melbeam.pipelines.sources.units import Unit, printable
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.split.reports import ShardReport
from melbeam.pipelines.split.table import read_table
from melbeam.pipelines.split.tally import EMPTY_TEXT, Tally
from melbeam.pipelines.verifying.differences import differences
from melbeam.pipelines.verifying.feature_records import Feature, read_feature
from melbeam.pipelines.verifying.findings import Findings
from melbeam.pipelines.verifying.ids import ShardIds, hash_of_id
from melbeam.pipelines.verifying.input_records import InputRecords, check_outcomes
from melbeam.pipelines.verifying.marked_files import is_whole, read_whole
from melbeam.pipelines.verifying.splits import UNREADABLE, Split
from melbeam.pipelines.verifying.strays import check_strays
from melbeam.transforms.folder_layout import file_name
from melbeam.transforms.records.conversion import Conversion
from melbeam.transforms.records.index import decode_index
from melbeam.transforms.records.reject_record import read_reject
from melbeam.transforms.records.split_schema import NAMED_IDS, SplitSchema
from melbeam.transforms.records.table import COLUMNS
from melbeam.transforms.statistics import BinStatistics

_NAMED_MISSING = 5  # records that are neither features nor rejects
_OF_AUDIO_ALONE = ("microseconds", "unknown_lengths")  # which `ingest` counts
_OF_CHUNKS = ("chunk_index", "start_sample")
_RECORDS_COME_TO = "the records come to"
_AGAIN = "extract again, with --overwrite"


def check_shards(split: Split, findings: Findings) -> None:
    """Checks all shards of a split, and adds their reports to its summary and their ids to its ids."""
    check_strays(split.folder, split.shards, findings)
    records = InputRecords(split.folder, findings, job="extract", leaves_out=split.leaves_out)
    for shard in split.shards:
        report = _read_report(split, shard, findings)
        records.check(shard, report)
        if report is None:
            split.has_all_reports = False
            continue
        split.summary.add_shard(report)
        _ShardCheck(split, shard, report, findings).run()


def _read_report(split: Split, shard: Shard, findings: Findings) -> ShardReport | None:
    path = split.folder.report(shard.index)
    try:
        report = ShardReport.from_dict(files.read_json(path))
        bins = len(report.statistics.sums)
        if bins not in (0, split.front_end.num_mels):
            raise ValueError(f"sums of {bins} bins")
    except UNREADABLE as error:
        findings.fault(path, f"no report of {shard.name} can be read ({error}): extract again, it is done anew")
        return None
    said = (report.job_hash, report.index, report.num_shards, report.input_path, report.input_size)
    if said != (split.job_hash, shard.index, shard.num_shards, shard.path, shard.unit.size):
        findings.fault(path, f"it is not the report of {shard.name} in this job: extract again")
        return None
    if report.record_version != split.record_version:
        findings.fault(
            path,
            f"record_version {report.record_version} is not that of job.json, {split.record_version}: {_AGAIN}",
        )
    elif report.record_version >= 2 and "melbeam" not in report.versions:
        findings.fault(path, f"it names no version of melbeam among {report.versions}: {_AGAIN}")
    check_outcomes(path, report, findings, clips="records", kept="converted", again=_AGAIN)
    return report


class _ShardCheck:
    """One shard, its rejects and its index, counted again as the job counts them."""

    def __init__(self, split: Split, shard: Shard, report: ShardReport, findings: Findings) -> None:
        self._split, self._shard, self._report, self._findings = split, shard, report, findings
        self._path = split.folder.shard(shard.index, shard.num_shards)
        self._report_path = split.folder.report(shard.index)
        self._tally = Tally()
        self._places: list[tuple[int, int, int]] = []  # offset, size and frames of each feature record
        self._rows: list[int | None] = []  # hashes of what a table says of them; None of one with a fault
        self._became: dict[int, str] = {}  # number of an input record, to "feature" or "reject"
        # The report's counts under these names cannot be checked: no clip has them.
        self._unknown_names = {name for change in report.changes for name in report.named_ids.get(change, ())}

    def run(self) -> None:
        """Checks everything, and leaves the ids of the records with the split."""
        report, rejects_path = self._report, self._split.folder.rejects(self._shard.index)
        features_are_read = rejects_are_read = False
        if is_whole(self._path, report.features, self._findings):
            features_are_read = self._count_features()
            self._check_index()
            self._check_table()
        if report.rejected is None:
            if files.exists(rejects_path):
                self._findings.fault(rejects_path, f"the report of {self._shard.name} knows of no rejects")
            rejects_are_read = True
        elif is_whole(rejects_path, report.rejected, self._findings):
            rejects_are_read = self._count_rejects(rejects_path)
        if features_are_read:
            self._compare_features()
        if rejects_are_read:
            self._compare_rejects(rejects_path)
        if features_are_read and rejects_are_read:
            self._look_for_missing_records()

    def _count_features(self) -> bool:
        """Counts the records of the shard; False where one of them is a fault."""
        records, clips = [], []
        for _, features in groupby(self._features(), attrgetter("source")):
            conversion, end = Conversion("", [], 0, []), 0
            for feature in features:
                conversion.id = feature.audio_id
                # Chunks of a clip can stand in for its length; where it was cut, nothing can.
                end = end if feature.chunk else 0
                conversion.num_samples += feature.start + feature.num_samples - end
                end = feature.start + feature.num_samples
                conversion.features.append(replace(feature.record, parts=()))
                records.append(hash_of_id(feature.record.id))
                if not feature.chunk:
                    clips.append(hash_of_id(feature.clip_id))
                is_chunk = feature.chunk is not None
                conversion.changes = ["chunked"] * is_chunk + ["truncated"] * feature.is_truncated
            self._unknown_names.discard(conversion.id)
            self._tally.count_conversion(conversion, self._shard.index)
            self._tally.statistics.add_clips([record.sums for record in conversion.features])
        ids = np.array(records, np.uint64)
        is_chunked = len(clips) != len(records)
        self._split.ids.append(ShardIds(self._path, ids, np.array(clips, np.uint64) if is_chunked else ids))
        return len(records) == len(self._places)

    def _features(self) -> Iterator[Feature]:
        """Yields the feature records that have no fault, and notes where each record lies."""
        previous = ("", -1, -1)  # source, channel and chunk
        for record in read_whole(self._path, self._findings):
            try:
                feature = read_feature(record.data, self._split)
            except ValueError as error:
                self._places.append((record.offset, len(record.data), -1))
                self._rows.append(None)
                self._findings.fault(self._path, str(error), record.number)
                continue
            self._places.append((record.offset, len(record.data), feature.record.num_frames))
            of_all_rows = {"split": self._split.folder.split, "file": file_name(self._path)}
            self._rows.append(_hash_of_row({**feature.record.row, **of_all_rows, "record": record.number}))
            channel = -1 if feature.channel is None else feature.channel
            is_next_chunk = bool(feature.chunk) and previous == (
                feature.source,
                channel,
                (feature.chunk or 0) - 1,
            )
            is_next_channel = not feature.chunk and channel > 0 and previous[:2] == (feature.source, channel - 1)
            if channel > 0 and not (is_next_chunk or is_next_channel):
                self._findings.fault(
                    self._path,
                    f"id {feature.record.id!r} is of channel {channel}, but the channel before it is not the "
                    "record before it",
                    record.number,
                )
            if feature.chunk and not is_next_chunk:
                self._findings.fault(
                    self._path,
                    f"id {feature.record.id!r} has chunk_index {feature.chunk}, but the chunk before it is not "
                    "the record before it",
                    record.number,
                )
            goes_on = is_next_chunk or is_next_channel
            self._note_source(feature.source, "feature", self._path, record.number, goes_on)
            previous = (feature.source, channel, -1 if feature.chunk is None else feature.chunk)
            yield feature

    def _count_rejects(self, path: str) -> bool:
        """Counts the records of the rejects; False where one of them is a fault."""
        all_are_read = True
        for record in read_whole(path, self._findings):
            try:
                rejected = read_reject(record.data, self._split.record_version)
            except ValueError as error:
                self._findings.fault(path, str(error), record.number)
                all_are_read = False
                continue
            self._tally.count_reject(rejected.reason, rejected.name)
            self._tally.damaged_bytes += rejected.damaged_bytes
            self._note_source(rejected.source, "reject", path, record.number, False)
        return all_are_read

    def _note_source(self, source: str, kind: str, path: str, record: int, goes_on: bool) -> None:
        """Sees to it that each input record becomes features, or a reject, once."""
        shard = self._shard
        place = Unit.parse_place(source)
        if place is None or place[0] != printable(shard.path):
            self._findings.fault(path, f"source {source!r} is no record of {shard.path}", record)
            return
        number = place[1]
        before = self._became.get(number)
        if before is not None and not goes_on:
            again = f"record {number} of {shard.path} is here again, as a {kind}; before as a {before}"
            self._findings.fault(path, again, record)
        self._became[number] = kind

    def _check_index(self) -> None:
        """Holds each row of the index against the record that it stands for."""
        path, mark = self._split.folder.index(self._shard.index), self._report.index_file
        if mark is None and self._split.record_version >= 2:
            self._findings.fault(self._report_path, f"it knows of no index of {self._shard.name}: {_AGAIN}")
            return
        if mark is None and not files.exists(path):
            return  # written before there were any
        if mark is not None and not is_whole(path, mark, self._findings, of_records=False):
            return
        try:
            index = decode_index(files.read_bytes(path))
        except ValueError as error:
            self._findings.fault(path, str(error))
            return
        if mark is not None and mark.num_records != len(index):
            self._findings.fault(path, f"it has {len(index)} rows, the report says {mark.num_records}")
        if len(index) != len(self._places):
            self._findings.fault(path, f"it has {len(index)} rows, {self._path} {len(self._places)} records")
            return
        for number, (row, (offset, size, frames)) in enumerate(zip(index, self._places, strict=True)):
            for name, value in (("offset", offset), ("size", size), ("num_frames", frames)):
                if value >= 0 and row[name] != value:  # the frames of a record with a fault are not known
                    wrong = f"its {name} is {row[name]}, that of the record in {file_name(self._path)} {value}"
                    self._findings.fault(path, wrong, number)

    def _check_table(self) -> None:
        """Holds each row of the table against the record that it stands for."""
        path = self._split.folder.table(self._shard.index, self._shard.num_shards)
        mark = self._report.table
        if mark is None:  # it was written before there were any
            if files.exists(path):
                self._findings.fault(path, f"the report of {self._shard.name} knows of no table; remove it")
            return
        if not is_whole(path, mark, self._findings, of_records=False):
            return
        number = 0
        try:
            for number, row in enumerate(read_table(files.read_bytes(path)), start=1):
                expected = self._rows[number - 1] if number <= len(self._rows) else None
                if expected is not None and _hash_of_row(row) != expected:
                    self._findings.fault(path, f"it is not what {file_name(self._path)} holds", number - 1)
        except ValueError as error:
            self._findings.fault(path, str(error))
            return
        if not number == len(self._rows) == mark.num_records:
            self._findings.fault(
                path,
                f"it has {number} rows, {self._path} {len(self._rows)} records, the report {mark.num_records}",
            )

    def _compare_features(self) -> None:
        report, tally = self._report, self._tally
        changes, said_changes = tally.changes, report.changes
        self._compare("features", tally.num_features, report.num_features)
        self._compare("records of the file", tally.num_features, report.features.num_records)
        self._compare("records converted", tally.records_converted, report.records_converted)
        self._compare("records that were chunked", changes.get("chunked", 0), said_changes.get("chunked", 0))
        if self._split.record_version >= 2:  # else no record says so
            truncated = changes.get("truncated", 0), said_changes.get("truncated", 0)
            self._compare("records that were truncated", *truncated)
        self._compare("chunks with the text of their whole clip", tally.whole_texts, report.whole_texts)
        if self._split.record_version >= 2:
            self._compare("records with an empty text", tally.empty_texts, report.empty_texts)
        for name in _OF_AUDIO_ALONE:
            self._compare(name, 0, getattr(report, name))
        if said_changes.get("trimmed", 0) > said_changes.get("chunked", 0):
            self._findings.fault(
                self._report_path, f"more clips are trimmed than chunked, {said_changes}: {_AGAIN}"
            )
        # Where clips were cut, `changes` says so, and the report may count more samples.
        is_cut = any(said_changes.get(what) for what in ("truncated", "trimmed"))
        if not (is_cut and tally.num_samples < report.num_samples):
            self._compare("samples", tally.num_samples, report.num_samples)
        if self._statistics(tally) != self._statistics(report):
            self._findings.fault(self._path, f"the sums of the features are not those of the report: {_AGAIN}")
        if self._split.record_version >= 2:
            for name in ("fields", "distributions"):
                said, found = (
                    msgspec.to_builtins(getattr(counts, name), str_keys=True) for counts in (report, tally)
                )
                self._compare_json(said, found, name)
        else:
            said, found = (asdict(self._schema_of_version_1(counts)) for counts in (report, tally))
            self._compare_json(said["fields"], found["fields"], "passthrough")
            self._compare_json(sorted(said["mixed"]), sorted(found["mixed"]), "passthrough")
        empty_texts = {EMPTY_TEXT: report.empty_texts} if report.empty_texts else {}
        for what in sorted(report.named_ids.keys() - {*report.rejects, *said_changes, *empty_texts}):
            self._findings.fault(
                self._report_path, f"named_ids has {what!r}, which is no reject and no change: {_AGAIN}"
            )
        for name in sorted(self._unknown_names):
            wrong = f"named_ids has {name!r}, which is no clip of {self._path}"
            self._findings.fault(self._report_path, f"{wrong}: {_AGAIN}")
        self._compare_names(report.changes, [what for what in changes if what in said_changes])
        self._compare_names(empty_texts, list(empty_texts))

    def _compare_rejects(self, path: str) -> None:
        report, tally = self._report, self._tally
        num_records = report.rejected.num_records if report.rejected else 0
        self._compare("records of its rejects", sum(tally.rejects.values()), num_records, path)
        self._compare("rejects by reason", dict(sorted(tally.rejects.items())), report.rejects, path)
        self._compare("damaged bytes", tally.damaged_bytes, report.damaged_bytes, path)
        self._compare_names(report.rejects, list(report.rejects))

    def _compare(self, what: str, found: object, said: object, path: str | None = None) -> None:
        if found != said:
            self._findings.fault(
                path or self._path,
                f"the {what} are not those of the report: {found} are there, the report says {said}: {_AGAIN}",
            )

    def _compare_json(self, said: object, found: object, place: str) -> None:
        for difference in differences(said, found, _RECORDS_COME_TO, place):
            self._findings.fault(self._report_path, f"{difference}: {_AGAIN}")

    def _compare_names(self, counts: dict[str, int], counted_again: list[str]) -> None:
        """Holds the ids that the report names against the counts, and where it can against the records."""
        said = self._report.named_ids
        for what, count in counts.items():
            names = said.get(what, [])
            if len(names) != min(count, NAMED_IDS):
                self._findings.fault(
                    self._report_path,
                    f"named_ids has {len(names)} of {count} {what}, of which it names {NAMED_IDS}: {_AGAIN}",
                )
            elif what in counted_again:
                self._compare_json(names, self._tally.named_ids.get(what, []), f"named_ids.{what}")

    def _statistics(self, tally: Tally) -> BinStatistics:
        """The sums, without what was not kept before record version 2."""
        if self._split.record_version >= 2:
            return tally.statistics
        return replace(tally.statistics, constants=[])

    def _schema_of_version_1(self, tally: Tally) -> SplitSchema:
        """The schema, which is what is left of counts that were other ones then."""
        fields = {}
        for name, counts in tally.fields.items():
            kinds = {kind: count for kind, count in counts.kinds.items() if kind}
            if len(kinds) == len(counts.kinds) or len(kinds) > 1:
                # How many records are chunks was not counted.
                kinds = dict.fromkeys(kinds, 0) if name in _OF_CHUNKS else kinds
                fields[name] = replace(counts, kinds=kinds)
        return SplitSchema.of_counts(self._split.front_end, 1, self._tally.num_features, fields)

    def _look_for_missing_records(self) -> None:
        report = self._report
        # Clips that were left out are in the input, but are not counted as read.
        expected = range(report.first_record, report.first_record + report.records_read + report.left_out)
        missing = report.records_read - sum(number in expected for number in self._became)
        if missing and sum(self._tally.rejects.values()) == sum(report.rejects.values()):
            named = ", ".join(map(str, islice((n for n in expected if n not in self._became), _NAMED_MISSING)))
            self._findings.fault(
                self._path, f"{missing} records of {self._shard.path} are neither features nor rejects: {named}"
            )


def _hash_of_row(row: Mapping[str, Any]) -> int:
    """What tells a table's row from another one, in eight bytes, within this process."""
    return hash(tuple(row[column.name] for column in COLUMNS))
