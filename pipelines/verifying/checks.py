"""What can be wrong with a folder of features, looked for: all that `melbeam verify` checks on its own.

Every byte is read: checksums, counts, shapes, ids, fingerprints, and that each input record became features or a
reject, once. Memory grows by eight bytes a record, for the ids, and by a few lines a file with faults.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import Any

import numpy as np

from melbeam.pipelines import files
from melbeam.pipelines.split.job import identity_hash
from melbeam.pipelines.split.leftovers import temporaries
from melbeam.pipelines.split.lock import is_alive, read_lock
from melbeam.pipelines.split.metadata import metadata
from melbeam.pipelines.split.plan import Shard, plan_hash, read_plan
from melbeam.pipelines.split.reports import FileMark, ShardReport, SplitSummary
from melbeam.pipelines.tfrecord import Damage, Record, read_tfrecord_file
from melbeam.transforms.folder_layout import FRONT_END, ShardName, SplitFolder, of_all_splits
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.rejects import REASONS
from melbeam.transforms.statistics import BinStatistics

# What an id looks like that was not given: the SHA-256 of the audio.
_DEFAULT_ID = re.compile(r"[0-9a-f]{64}(#\d+)?")
_RETRIED = re.compile(r"(_retried)+$")
_NAMED = 5  # of each kind, in messages
_SHOWN = 20  # faults of one file, and as many warnings; the rest are counted
_NO_LIMIT = 1 << 50  # bytes of a record: what a file holds is read
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)


@dataclass
class Findings:
    """What was found wrong (faults), and what somebody may want to know (warnings); a few of each file."""

    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def fault(self, where: str, what: str) -> None:
        """Notes a fault."""
        self._note("faults", self.faults, where, what)

    def warn(self, where: str, what: str) -> None:
        """Notes a warning."""
        self._note("warnings", self.warnings, where, what)

    def _note(self, kind: str, noted: list[str], where: str, what: str) -> None:
        place = kind, where.partition(", record ")[0]
        self._counts[place] = self._counts.get(place, 0) + 1
        if self._counts[place] <= _SHOWN:
            noted.append(f"{where}: {what}")

    def count(self, kind: str) -> int:
        """All that were noted."""
        return sum(count for (noted, _), count in self._counts.items() if noted == kind)

    def lines(self) -> Iterator[str]:
        """For a person."""
        for kind, name, noted in (("warnings", "warning", self.warnings), ("faults", "FAULT", self.faults)):
            yield from (f"{name}: {line}" for line in noted)
            for (found, where), count in self._counts.items():
                if found == kind and count > _SHOWN:
                    yield f"{name}: {where}: {count - _SHOWN} more {kind}"


@dataclass
class Split:
    """A split of the folder, as its bookkeeping describes it."""

    folder: SplitFolder
    front_end: FrontEnd
    options: RecordOptions
    hash: str
    shards: list[Shard]
    summary: SplitSummary = field(default_factory=SplitSummary)
    ids: list[np.ndarray] = field(default_factory=list)  # 8-byte hashes, one array a shard


def verify(output: str) -> tuple[list[Split], Findings]:
    """Checks a whole folder; gives its splits, and what was found."""
    findings = Findings()
    kept = [
        path
        for name in ("job.json", "plan.jsonl", "summary.json")
        for path, _ in files.match(of_all_splits(output, name))
    ]
    names = sorted({SplitFolder.holding(path).split for path in kept})
    unfinished = [name for name in names if _is_unfinished(SplitFolder(output, name), findings)]
    finished = [name for name in names if name not in unfinished]
    splits = [split for name in finished if (split := _read_split(SplitFolder(output, name), findings))]
    if not names:
        findings.fault(output, "no split: there is no _melbeam/*/job.json, so melbeam extract did not write it")
    for path, _ in files.match(ShardName.glob(output)):
        named = ShardName.parse(path)
        if names and (named is None or named.split not in names):
            findings.fault(path, f"no shard of the splits {', '.join(names)}, which _melbeam knows; move it away")
    for split in splits:
        _check_shards(split, findings)
    together: dict[str, list[Split]] = {}  # a split, and those that its rejects became
    for split in splits:
        together.setdefault(_RETRIED.sub("", split.folder.split), []).append(split)
    for read_together in together.values():
        _check_ids(read_together, findings)
    if splits and len(splits) == len(names):  # else they are written anew when the last split is whole
        _check_metadata(output, splits, findings)
    return splits, findings


def _is_unfinished(folder: SplitFolder, findings: Findings) -> bool:
    """Notes a split whose job has not ended, as one fault: what it lacks is not wrong, only not there yet."""
    if files.exists(folder.summary) or not (files.exists(folder.job) and files.exists(folder.plan)):
        return False
    try:
        num_shards = sum(1 for _ in read_plan(folder.plan))
    except _UNREADABLE:
        return False
    num_done = len(files.match(folder.reports_glob))
    holder = read_lock(folder.lock)
    if holder and is_alive(holder):
        what = f"process {holder['pid']} on {holder['host']} is at work on it: verify it when that has ended"
    else:
        what = "its job was interrupted: the same melbeam extract command goes on from there"
    findings.fault(folder.bookkeeping, f"it is not finished, {num_done} of {num_shards} shards are done; {what}")
    return True


def _read_split(folder: SplitFolder, findings: Findings) -> Split | None:
    try:
        job = files.read_json(folder.job)
        identity, front_end = dict(job["identity"]), FrontEnd.from_dict(job["front_end"])
        record_options = RecordOptions(
            **{f.name: identity[f.name] for f in fields(RecordOptions) if f.name in identity}
        )
        shards = list(read_plan(folder.plan))
        found_hash = job["hash"]
    except _UNREADABLE as error:
        findings.fault(folder.bookkeeping, f"job.json or plan.jsonl cannot be read ({error}): extract again")
        return None
    if found_hash != identity_hash(identity):
        findings.fault(folder.job, "its hash is not that of what it says: it was edited; extract again")
    expected = {
        "fingerprint": front_end.fingerprint,
        "max_audio_length": front_end.max_audio_length,
        "frames_per_token": front_end.frames_per_token,
        "max_audio_tokens": front_end.max_audio_tokens,
    }
    for name, value in expected.items():
        if identity.get(name) != value:
            findings.fault(folder.job, f"{name} {identity.get(name)!r} is not its front end's, {value!r}")
    if identity.get("num_shards") != len(shards):
        findings.fault(folder.plan, f"{len(shards)} shards, job.json says {identity.get('num_shards')}")
    if identity.get("input") != plan_hash(shards):
        findings.fault(
            folder.plan, "it is not the plan that job.json was written for: it was edited; extract again"
        )
    holder = read_lock(folder.lock)
    if holder and is_alive(holder):
        at_work = f"process {holder['pid']} on {holder['host']} is at work on it: verify it when that has ended"
        findings.warn(folder.bookkeeping, at_work)
    return Split(folder, front_end, record_options, found_hash, shards)


def _check_shards(split: Split, findings: Findings) -> None:
    folder = split.folder
    expected = {folder.shard(shard.index, shard.num_shards) for shard in split.shards}
    for path, _ in files.match(folder.shards_glob):
        if path not in expected:
            findings.fault(path, "no shard of this split's plan: readers that glob will take it; remove it")
    kept = {folder.rejects(shard.index) for shard in split.shards}
    for path, _ in files.match(folder.rejects_glob):
        if path not in kept:
            findings.fault(path, "rejects of no shard of the plan; remove it")
    for path in temporaries(folder):
        findings.warn(path, "left by an attempt that did not end; `melbeam clean` removes it")
    next_record: int | None = 0  # of the file that the shard at hand is a part of
    for shard in split.shards:
        report = _read_report(split, shard, findings)
        next_record = 0 if shard.part == 0 else next_record
        if report is not None:
            if next_record not in (None, report.first_record):
                begins = (
                    f"{shard.name} begins with record {report.first_record}, the one before ends at {next_record}"
                )
                findings.fault(folder.report(shard.index), f"{begins}: extract again, with --overwrite")
            split.summary.add_shard(report)
            _check_shard(split, shard, report, findings)
        next_record = None if report is None else report.first_record + report.records_read


def _read_report(split: Split, shard: Shard, findings: Findings) -> ShardReport | None:
    path = split.folder.report(shard.index)
    try:
        report = ShardReport.from_dict(files.read_json(path))
        bins = len(report.statistics.sums)
        if bins not in (0, split.front_end.num_mels):
            raise ValueError(f"sums of {bins} bins")
    except _UNREADABLE as error:
        findings.fault(path, f"no report of {shard.name} can be read ({error}): extract again, it is done anew")
        return None
    said = (report.job_hash, report.index, report.num_shards, report.input_path, report.input_size)
    if said != (split.hash, shard.index, shard.num_shards, shard.path, shard.size):
        findings.fault(path, f"it is not the report of {shard.name} in this job: extract again")
        return None
    if report.records_read != report.records_converted + sum(report.rejects.values()):
        findings.fault(
            path,
            f"{report.records_read} records read are not {report.records_converted} converted + "
            f"{sum(report.rejects.values())} rejected",
        )
    return report


def _check_shard(split: Split, shard: Shard, report: ShardReport, findings: Findings) -> None:
    path, rejects_path = split.folder.shard(shard.index, shard.num_shards), split.folder.rejects(shard.index)
    whole = _is_whole(path, report.features, findings)
    numbers: dict[int, str] = {}  # of input records: what became of each
    statistics, hashes, converted, chunked, samples = BinStatistics(), [], set(), 0, 0
    for number, record in read_whole(path, findings) if whole else ():
        where = f"{path}, record {number}"
        feature = Feature.of(record, where, split, findings)
        if feature is None:
            continue
        hashes.append(_hash(feature.id))
        statistics.add(feature.statistics)
        converted.add(feature.source)
        chunked += feature.chunk == 0
        samples += feature.num_samples
        _note_source(feature.source, shard, numbers, "feature", feature.chunk, where, findings)
    counts: dict[str, int] = {}
    if report.rejected is not None and _is_whole(rejects_path, report.rejected, findings):
        for number, record in read_whole(rejects_path, findings):
            where = f"{rejects_path}, record {number}"
            reason, source = _reject(record, where, findings)
            counts[reason] = counts.get(reason, 0) + 1
            _note_source(source, shard, numbers, "reject", None, where, findings)
    elif report.rejected is None and files.exists(rejects_path):
        findings.fault(rejects_path, f"the report of {shard.name} knows of no rejects")
    split.ids.append(np.array(hashes, np.uint64))
    if not whole:
        return
    for what, found, said in (
        ("features", len(hashes), report.num_features),
        ("records of the file", len(hashes), report.features.num_records),
        ("records of its rejects", sum(counts.values()), report.rejected.num_records if report.rejected else 0),
        ("records converted", len(converted), report.records_converted),
        ("rejects by reason", dict(sorted(counts.items())), report.rejects),
        ("records that were chunked", chunked, report.changes.get("chunked", 0)),
        ("samples", samples, samples if _is_cut(report, samples) else report.num_samples),
        ("sums of the features", statistics, report.statistics),
    ):
        if found != said and not (report.rejected is not None and not counts and "rejects" in what):
            shown = "" if isinstance(found, BinStatistics) else f": {found} are there, the report says {said}"
            findings.fault(path, f"the {what} are not those of the report{shown}")
    expected = range(report.first_record, report.first_record + report.records_read)
    missing = report.records_read - sum(number in expected for number in numbers)
    if missing and sum(counts.values()) == sum(report.rejects.values()):
        first = islice((number for number in expected if number not in numbers), _NAMED)
        named = ", ".join(map(str, first))
        findings.fault(path, f"{missing} records of {shard.path} are neither features nor rejects: {named}")


def _is_cut(report: ShardReport, samples: int) -> bool:
    """Whether audio was left out, told under `changes`, so that the report may know of more samples."""
    return samples < report.num_samples and any(report.changes.get(what) for what in ("truncated", "trimmed"))


def _is_whole(path: str, mark: FileMark, findings: Findings) -> bool:
    if not files.exists(path):
        findings.fault(path, "it is missing: extract again, its shard is done anew")
        return False
    if mark.confirms(path):
        return True
    damages = (item for item in read_tfrecord_file(path, max_record_bytes=_NO_LIMIT) if isinstance(item, Damage))
    damage = next(damages, None)
    named = "swapped or changed"
    if damage is not None:
        named = f"record {damage.number}, at byte {damage.offset}, is {damage.reason}"
    findings.fault(
        path,
        f"it is not the file that its report describes ({mark.num_records} records, {mark.size} bytes, CRC32C "
        f"{mark.crc32c:08x}): {named}; extract again, its shard is done anew",
    )
    return False


def read_whole(path: str, findings: Findings) -> Iterator[tuple[int, bytes]]:
    """Numbers and data of a file's records; a damaged one is a fault."""
    for item in read_tfrecord_file(path, max_record_bytes=_NO_LIMIT):
        if isinstance(item, Record):
            yield item.number, item.data
        else:
            findings.fault(f"{path}, record {item.number}", f"{item.reason}: {item.detail}")


def _note_source(
    source: str,
    shard: Shard,
    numbers: dict[int, str],
    kind: str,
    chunk: int | None,
    where: str,
    findings: Findings,
) -> None:
    """Sees to it that each input record becomes features, or a reject, once."""
    path, _, number = source.rpartition("#")
    if path != shard.path or not number.isdigit():
        findings.fault(where, f"source {source!r} is no record of {shard.path}")
        return
    before = numbers.get(int(number))
    if before is not None and not (before == kind == "feature" and chunk):
        findings.fault(where, f"record {number} of {shard.path} is here again, as a {kind}; before as a {before}")
    numbers[int(number)] = kind


@dataclass
class Feature:
    """One feature record, parsed and checked."""

    id: str
    source: str
    num_samples: int
    start: int  # of its first sample, in the audio
    chunk: int | None
    values: np.ndarray  # [num_frames, num_mels]
    statistics: BinStatistics

    @classmethod
    def of(cls, record: bytes, where: str, split: Split, findings: Findings) -> Feature | None:
        """Parses and checks; None where it is a fault."""
        front_end = split.front_end
        try:
            found = Example.FromString(record).features.feature
            texts = {n: _one(found[n].bytes_list).decode() for n in ("id", "source", "front_end")}
            names = ("num_frames", "num_samples", "sampling_rate")
            counts = {n: _one(found[n].int64_list) for n in names}
            chunk, start = None, 0
            if "chunk_index" in found:
                chunk, start = (_one(found[n].int64_list) for n in ("chunk_index", "start_sample"))
            values = _values(found["input_features"], split)
        except Exception as error:  # protobuf's, and whatever a wrong shape gives
            findings.fault(where, f"it is no feature record: {type(error).__name__}: {error}")
            return None
        frames, rows = counts["num_frames"], len(values)
        stored = front_end.padded_frames if split.options.pads(front_end) else frames
        tokens = found["num_audio_tokens"].int64_list.value if "num_audio_tokens" in found else []
        expected_tokens = front_end.num_audio_tokens(counts["num_samples"])
        for wrong, what in (
            (texts["front_end"] != front_end.fingerprint[:16], f"front_end {texts['front_end']}"),
            (counts["sampling_rate"] != front_end.sampling_rate, f"sampling_rate {counts['sampling_rate']}"),
            (frames != front_end.num_frames(counts["num_samples"]), f"num_frames {frames}"),
            (rows != stored, f"input_features of {rows} rows"),
            (list(tokens) != ([] if expected_tokens is None else [expected_tokens]), f"num_audio_tokens {tokens}"),
            (chunk is not None and split.options.on_long != "chunk", f"chunk_index {chunk}"),
            (start != (chunk or 0) * (front_end.max_samples or 0), f"start_sample {start}"),
            (chunk is not None and not texts["id"].endswith(f"#{chunk}"), f"chunk_index {chunk}"),
            (not np.isfinite(values[:frames].astype(np.float32)).all(), "values that are not finite"),
        ):
            if wrong:
                findings.fault(where, f"id {texts['id']!r} has {what}, which is not what this split's job gives")
                return None
        return cls(
            texts["id"],
            texts["source"],
            counts["num_samples"],
            start,
            chunk,
            values[:frames],
            BinStatistics.of(values[:frames]),
        )


def _one(values: Any) -> Any:
    """The only value of a list.

    Raises:
        ValueError: there are none, or several.
    """
    (value,) = values.value
    return value


def _values(feature: Any, split: Split) -> np.ndarray:
    if split.options.encoding == "float_list":
        flat = np.array(feature.float_list.value, np.float32)
    else:
        flat = np.frombuffer(_one(feature.bytes_list), split.options.numpy_dtype)
    return flat.reshape(-1, split.front_end.num_mels)


def _reject(record: bytes, where: str, findings: Findings) -> tuple[str, str]:
    try:
        found = Example.FromString(record).features.feature
        reason, source = (found[name].bytes_list.value[0].decode() for name in ("reason", "source"))
        if found["melbeam_reject"].int64_list.value[0] != 1 or len(found["record"].bytes_list.value) != 1:
            raise ValueError("melbeam_reject or record is missing")
    except Exception as error:  # protobuf's, and whatever a wrong shape gives
        findings.fault(where, f"it is no reject record: {type(error).__name__}: {error}")
        return "", ""
    if reason not in REASONS:
        findings.fault(where, f"unknown reason {reason!r}")
    return reason, source


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _check_ids(splits: list[Split], findings: Findings) -> None:
    """Names ids that occur twice; a second pass over the files, and only where the hashes say so."""
    hashes = np.sort(np.concatenate([ids for split in splits for ids in split.ids] or [np.zeros(0, np.uint64)]))
    twice = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if not len(twice):
        return
    places: dict[bool, dict[str, list[str]]] = {True: {}, False: {}}  # by whether the id was given
    for name, where in _ids(splits):
        found = np.uint64(_hash(name))
        if twice[min(np.searchsorted(twice, found), len(twice) - 1)] == found:
            named = places[_DEFAULT_ID.fullmatch(name) is None]
            if name in named or len(named) < _SHOWN:
                named.setdefault(name, []).append(where)
                del named[name][_NAMED:]
    of = "+".join(split.folder.split for split in splits)
    for given, named in places.items():
        for name, all_of_it in sorted(named.items()):
            shown = ", ".join(all_of_it)
            if len(all_of_it) > 1 and given:
                findings.fault(of, f"id {name!r} is given more than once: {shown}; give each record its own")
            elif len(all_of_it) > 1:
                findings.warn(of, f"the same audio, {name}, is here more than once: {shown}")
    if len(twice) > sum(map(len, places.values())):
        (findings.fault if places[True] else findings.warn)(of, f"{len(twice)} ids in all are here more than once")


def _ids(splits: list[Split]) -> Iterator[tuple[str, str]]:
    """Ids and their places, of the records that have one."""
    for split in splits:
        for shard in split.shards:
            path = split.folder.shard(shard.index, shard.num_shards)
            for item in read_tfrecord_file(path, max_record_bytes=_NO_LIMIT) if files.exists(path) else ():
                with suppress(Exception):  # protobuf's, and whatever a wrong shape gives: told by the first pass
                    name = _one(Example.FromString(item.data).features.feature["id"].bytes_list).decode()
                    yield name, f"{path}#{item.number}"


def _check_metadata(output: str, splits: list[Split], findings: Findings) -> None:
    """The files at the top, against what the reports come to."""
    summaries = {split.folder.split: split.summary for split in splits}
    for split in splits:
        try:
            kept = SplitSummary.from_dict(files.read_json(split.folder.summary))
        except _UNREADABLE as error:
            findings.fault(split.folder.summary, f"it cannot be read ({error}): the split is not finished")
            summaries.pop(split.folder.split)
            continue
        for place in _differences(kept.to_dict(), split.summary.to_dict()):
            findings.fault(split.folder.summary, f"it is not the sum of the reports: {place}; extract again")
    if not summaries:
        return
    first, strangers = splits[0], 0
    for split in splits[1:]:
        for what, found, said in (
            ("fingerprint", split.front_end.fingerprint, first.front_end.fingerprint),
            ("dtype", split.options.dtype, first.options.dtype),
            ("encoding", split.options.encoding, first.options.encoding),
        ):
            if found != said:
                what = f"{what} {found} is not that of split {first.folder.split!r}, {said}, and a folder has one"
                findings.fault(split.folder.job, f"{what}: extract the split into a folder of its own")
                strangers += 1
    if strangers:
        return  # there is nothing that the metadata could say of them all
    # Splits of one front end may give it different names and lengths; the files have those of the last one.
    named: Any = None
    with suppress(*_UNREADABLE):  # else named below, as a difference
        named = FrontEnd.from_dict(files.read_json(f"{output}/{FRONT_END}")["front_end"])
    front_end = next((s.front_end for s in splits if s.front_end == named), first.front_end)
    for name, content in metadata(summaries, front_end, first.options).items():
        path = f"{output}/{name}"
        try:
            found = files.read_json(path)
        except (OSError, ValueError) as error:
            findings.fault(path, f"it cannot be read ({error}): extract again")
            continue
        for place in _differences(found, content):
            findings.fault(path, f"{place}: extract again, which writes it anew")


def _differences(found: Any, expected: Any, place: str = "") -> list[str]:
    """Where two JSON values differ, a few of the places, each with both values."""
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = sorted({*found, *expected})
        return [d for k in keys for d in _differences(found.get(k), expected.get(k), f"{place}.{k}".strip("."))]
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = zip(found, expected, strict=True)
        return [d for i, (f, e) in enumerate(pairs) for d in _differences(f, e, f"{place}[{i}]")][:_NAMED]
    return [] if found == expected else [f"{place} is {str(found)[:80]}, the reports come to {str(expected)[:80]}"]
