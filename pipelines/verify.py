"""melbeam verify: does a folder of features hold what it says, and all that it should?

Every byte is read: checksums, counts, shapes, ids, fingerprints, and that each input record became features or a
reject, once. Memory grows by eight bytes a record, for the ids.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from melbeam.pipelines import files, options
from melbeam.pipelines.commit import FileMark, ShardReport
from melbeam.pipelines.dataset_metadata import SplitSummary, metadata
from melbeam.pipelines.job import identity_hash
from melbeam.pipelines.plan import Shard, SplitFolder, read_plan
from melbeam.pipelines.references import PACKAGES, reference
from melbeam.pipelines.tfrecords import Record, read_tfrecord_file
from melbeam.transforms.examples import Example, read_audio_example
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.record_options import RecordOptions
from melbeam.transforms.rejects import REASONS
from melbeam.transforms.statistics import BinStatistics

DESCRIPTION = "Checks a folder of features: every checksum, count, shape, id and number in its metadata."
# What an id looks like that was not given: the SHA-256 of the audio.
_DEFAULT_ID = re.compile(r"[0-9a-f]{64}(#\d+)?")
_NAMED = 5  # of each kind, in messages
# How far stored features may be from a reference's, 99 of 100 values: its float32 rounding in quiet bins, and that
# of the stored dtype.
_LIMITS = {"float32": 1e-2, "float16": 2e-2, "bfloat16": 1e-1}


@dataclass
class Findings:
    """What was found wrong (faults), and what somebody may want to know (warnings)."""

    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def fault(self, where: str, what: str) -> None:
        """Notes a fault."""
        self.faults.append(f"{where}: {what}")


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
    splits = [
        split
        for path, _ in files.match(f"{output}/_melbeam/*/job.json")
        if (split := _read_split(SplitFolder(output, path.split("/")[-2]), findings))
    ]
    if not splits and not findings.faults:
        findings.fault(output, "no split: there is no _melbeam/*/job.json, so melbeam extract did not write it")
    for split in splits:
        _check_shards(split, findings)
        _check_ids(split, findings)
    if splits and len(splits) == len(files.match(f"{output}/_melbeam/*/job.json")):
        _check_metadata(output, splits, findings)
    return splits, findings


def _read_split(folder: SplitFolder, findings: Findings) -> Split | None:
    try:
        job = files.read_json(folder.job)
        identity, front_end = job["identity"], FrontEnd.from_dict(job["front_end"])
        record_options = RecordOptions(**{f.name: identity[f.name] for f in fields(RecordOptions)})
        shards = list(read_plan(folder.plan))
    except (OSError, ValueError, KeyError, TypeError) as error:
        findings.fault(folder.bookkeeping, f"job.json or plan.jsonl cannot be read ({error}): extract again")
        return None
    if job["hash"] != identity_hash(identity):
        findings.fault(folder.job, "its hash is not that of what it says: it was edited")
    if identity["fingerprint"] != front_end.fingerprint:
        findings.fault(
            folder.job,
            f"fingerprint {identity['fingerprint'][:16]} is not its front end's, {front_end.fingerprint[:16]}",
        )
    if identity["num_shards"] != len(shards):
        findings.fault(folder.plan, f"{len(shards)} shards, job.json says {identity['num_shards']}")
    return Split(folder, front_end, record_options, job["hash"], shards)


def _check_shards(split: Split, findings: Findings) -> None:
    folder = split.folder
    expected = {folder.shard(shard.index, shard.num_shards) for shard in split.shards}
    for path, _ in files.match(f"{folder.output}/{folder.split}-*-of-*.tfrecord"):
        if path not in expected:
            findings.fault(path, "no shard of this split's plan: readers that glob will take it; remove it")
    kept = {folder.rejects(shard.index) for shard in split.shards}
    for path, _ in files.match(f"{folder.bookkeeping}/rejects/*"):
        if path not in kept:
            findings.fault(path, "rejects of no shard of the plan; remove it")
    for path in folder.temporaries():
        findings.warnings.append(f"{path}: left by an attempt that did not end; `melbeam clean` removes it")
    for shard in split.shards:
        report = _read_report(split, shard, findings)
        if report is not None:
            split.summary.add(SplitSummary.of(report))
            _check_shard(split, shard, report, findings)


def _read_report(split: Split, shard: Shard, findings: Findings) -> ShardReport | None:
    path = split.folder.report(shard.index)
    try:
        report = ShardReport.from_dict(files.read_json(path))
    except (OSError, ValueError, KeyError, TypeError) as error:
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
    statistics, hashes, converted, samples = BinStatistics(), [], set(), 0
    for number, record in _records(path, findings) if whole else ():
        where = f"{path}, record {number}"
        feature = _Feature.of(record, where, split, findings)
        if feature is None:
            continue
        hashes.append(_hash(feature.id))
        statistics.add(feature.statistics)
        converted.add(feature.source)
        samples += feature.num_samples
        _note_source(feature.source, shard, numbers, "feature", feature.chunk, where, findings)
    counts: dict[str, int] = {}
    if report.rejected is not None and _is_whole(rejects_path, report.rejected, findings):
        for number, record in _records(rejects_path, findings):
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
        ("records converted", len(converted), report.records_converted),
        ("rejects by reason", dict(sorted(counts.items())), report.rejects),
        ("sums of the features", statistics, report.statistics),
    ):
        if found != said and not (report.rejected is not None and not counts and what.startswith("rejects")):
            shown = "" if isinstance(found, BinStatistics) else f": {found} are there, the report says {said}"
            findings.fault(path, f"the {what} are not those of the report{shown}")
    missing = sorted(set(range(report.records_read)) - set(numbers))
    if missing and sum(counts.values()) == sum(report.rejects.values()):
        named = ", ".join(map(str, missing[:_NAMED]))
        findings.fault(path, f"{len(missing)} records of {shard.path} are neither features nor rejects: {named}")


def _is_whole(path: str, mark: FileMark, findings: Findings) -> bool:
    if not files.exists(path):
        findings.fault(path, "it is missing: extract again, its shard is done anew")
        return False
    if mark.confirms(path):
        return True
    findings.fault(
        path,
        f"it is not the file that its report describes ({mark.num_records} records, {mark.size} bytes, CRC32C "
        f"{mark.crc32c:08x}): swapped, cut or changed; extract again, its shard is done anew",
    )
    return False


def _records(path: str, findings: Findings) -> Iterator[tuple[int, bytes]]:
    for item in read_tfrecord_file(path):
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
class _Feature:
    """One feature record, parsed and checked."""

    id: str
    source: str
    num_samples: int
    chunk: int | None
    values: np.ndarray  # [num_frames, num_mels]
    statistics: BinStatistics

    @classmethod
    def of(cls, record: bytes, where: str, split: Split, findings: Findings) -> _Feature | None:
        front_end = split.front_end
        try:
            found = Example.FromString(record).features.feature
            texts = {n: found[n].bytes_list.value[0].decode() for n in ("id", "source", "front_end")}
            names = ("num_frames", "num_samples", "sampling_rate")
            counts = {n: found[n].int64_list.value[0] for n in names}
            chunks = found["chunk_index"].int64_list.value if "chunk_index" in found else []
            values = _values(found["input_features"], split)
        except Exception as error:  # protobuf's, and whatever a wrong shape gives
            findings.fault(where, f"it is no feature record: {type(error).__name__}: {error}")
            return None
        frames, rows = counts["num_frames"], len(values)
        stored = front_end.padded_frames if split.options.pad_to_max_length else frames
        tokens = found["num_audio_tokens"].int64_list.value if "num_audio_tokens" in found else []
        expected_tokens = front_end.num_audio_tokens(counts["num_samples"])
        for wrong, what in (
            (texts["front_end"] != front_end.fingerprint[:16], f"front_end {texts['front_end']}"),
            (counts["sampling_rate"] != front_end.sampling_rate, f"sampling_rate {counts['sampling_rate']}"),
            (frames != front_end.num_frames(counts["num_samples"]), f"num_frames {frames}"),
            (rows != stored, f"input_features of {rows} rows"),
            (list(tokens) != ([] if expected_tokens is None else [expected_tokens]), f"num_audio_tokens {tokens}"),
            (not np.isfinite(values[:frames].astype(np.float32)).all(), "values that are not finite"),
        ):
            if wrong:
                findings.fault(where, f"id {texts['id']!r} has {what}, which is not what this split's job gives")
                return None
        return cls(
            texts["id"],
            texts["source"],
            counts["num_samples"],
            chunks[0] if chunks else None,
            values[:frames],
            BinStatistics.of(values[:frames]),
        )


def _values(feature: Any, split: Split) -> np.ndarray:
    if split.options.encoding == "float_list":
        flat = np.array(feature.float_list.value, np.float32)
    else:
        flat = np.frombuffer(feature.bytes_list.value[0], split.options.numpy_dtype)
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


def _check_ids(split: Split, findings: Findings) -> None:
    """Names ids that occur twice; a second pass over the files, and only where the hashes say so."""
    hashes = np.sort(np.concatenate([*split.ids, np.zeros(0, np.uint64)]))
    suspects = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    if not suspects:
        return
    places: dict[str, list[str]] = {}
    for shard in split.shards:
        path = split.folder.shard(shard.index, shard.num_shards)
        for item in read_tfrecord_file(path) if files.exists(path) else ():
            if isinstance(item, Record):
                found = Example.FromString(item.data).features.feature["id"].bytes_list.value[0].decode()
                if _hash(found) in suspects:
                    places.setdefault(found, []).append(f"{path}#{item.number}")
    for name, where in sorted(places.items()):
        if len(where) < 2:
            continue
        shown = ", ".join(where[:_NAMED])
        if _DEFAULT_ID.fullmatch(name):
            findings.warnings.append(
                f"{split.folder.split}: the same audio, {name}, is here more than once: {shown}"
            )
        else:
            findings.fault(split.folder.split, f"id {name!r} is given more than once: {shown}")


def _check_metadata(output: str, splits: list[Split], findings: Findings) -> None:
    """The files at the top, against what the reports come to."""
    summaries = {split.folder.split: split.summary for split in splits}
    for split in splits:
        try:
            said = SplitSummary.from_dict(files.read_json(split.folder.summary))
        except (OSError, ValueError, KeyError, TypeError) as error:
            findings.fault(split.folder.summary, f"it cannot be read ({error}): the split is not finished")
            summaries.pop(split.folder.split)
            continue
        if said.to_dict() != split.summary.to_dict():
            findings.fault(split.folder.summary, "it is not the sum of the reports: extract again")
    if not summaries:
        return
    # Splits of one front end may give it different names; the file has the last one's.
    front_end = splits[0].front_end
    try:
        named = FrontEnd.from_dict(files.read_json(f"{output}/front_end.json")["front_end"])
        if named.fingerprint == front_end.fingerprint:
            front_end = named
    except (OSError, ValueError, KeyError, TypeError):
        pass  # named below, as a difference
    for name, content in metadata(summaries, front_end, splits[0].options).items():
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


def compare(splits: list[Split], package: str, sample: int, findings: Findings) -> list[str]:
    """Recomputes records, evenly spread over each split, from the source audio with a reference.

    Raises:
        UsageError: the reference is not installed, or does not have the front end.
    """
    lines = []
    for split in splits:
        try:
            compute = reference(package, split.front_end)
        except ImportError as error:
            raise options.UsageError(f"--against={package} needs it: pip install {package} ({error})") from error
        except ValueError as error:
            raise options.UsageError(f"--against={package}: {error}") from error
        total, worst = split.summary.num_features, (0.0, "")
        wanted = {i * total // sample for i in range(min(sample, total))} if total > sample else set(range(total))
        spread: list[np.ndarray] = []
        for index, where, feature in _features(split, findings):
            if index not in wanted:
                continue
            rows, valid = compute(_source_audio(split, feature))
            valid = valid[valid < len(feature.values)]
            apart = np.abs(feature.values[valid].astype(np.float64) - rows[: valid.max(initial=-1) + 1][valid])
            spread.append(np.array([apart.max(initial=0.0), np.percentile(apart, 99) if apart.size else 0.0]))
            worst = max(worst, (float(spread[-1][0]), feature.id))
            if (
                len(valid) != len(feature.values)
                and package == "transformers"
                and len(feature.values) > len(valid)
            ):
                findings.fault(
                    where, f"id {feature.id!r}: {len(feature.values)} frames, {package} has {len(valid)}"
                )
            if spread[-1][1] > _LIMITS[split.options.dtype]:
                findings.fault(
                    where,
                    f"id {feature.id!r} is {spread[-1][1]:.2g} from {package} (99 of 100 values), more than its "
                    "rounding: these are not its features",
                )
        if spread:
            largest, usual = np.max(spread, axis=0), np.median(spread, axis=0)
            lines.append(
                f"{split.folder.split}: {len(spread)} records against {package}: at most {largest[0]:.2g} apart "
                f"(id {worst[1]!r}), 99 of 100 values at most {largest[1]:.2g}; the median record {usual[0]:.2g} "
                f"and {usual[1]:.2g}"
            )
    return lines


def _features(split: Split, findings: Findings) -> Iterator[tuple[int, str, _Feature]]:
    index = 0
    for shard in split.shards:
        path = split.folder.shard(shard.index, shard.num_shards)
        for number, record in _records(path, findings):
            where = f"{path}, record {number}"
            feature = _Feature.of(record, where, split, findings)
            if feature is not None:
                yield index, where, feature
            index += 1


def _source_audio(split: Split, feature: _Feature) -> np.ndarray:
    """The samples that the feature was made of, read and decoded again."""
    path, _, number = feature.source.rpartition("#")
    item = next((item for item in read_tfrecord_file(path) if item.number == int(number)), None)
    if not isinstance(item, Record):
        raise options.UsageError(f"{feature.source}: the source record is not there any more")
    samples = read_audio_example(
        item.data,
        sampling_rate=split.front_end.sampling_rate,
        audio_format=split.options.audio_format,
        pcm_sampling_rate=split.options.pcm_sampling_rate,
    ).audio.samples
    start = (feature.chunk or 0) * (split.front_end.max_samples or 0)
    return samples[start : start + feature.num_samples]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of verify."""
    parser.add_argument("folder", help="what melbeam extract --output wrote")
    parser.add_argument("--against", choices=PACKAGES, help="recompute records with this package's own converter")
    parser.add_argument("--sample", type=int, default=100, help="records to recompute, of each split")


def run(arguments: argparse.Namespace) -> int:
    """Checks the folder and prints what was found; gives the exit status.

    Raises:
        UsageError: there is no such folder, or the reference cannot be run.
    """
    output = arguments.folder.rstrip("/")
    if arguments.sample < 1:
        raise options.UsageError(f"--sample must be at least 1, got {arguments.sample}")
    if not files.match(f"{output}/*") and not files.match(f"{output}/_melbeam/*/job.json"):
        raise options.UsageError(f"{output} is no folder with anything in it")
    splits, findings = verify(output)
    lines = []
    if arguments.against and not findings.faults:
        lines = compare(splits, arguments.against, arguments.sample, findings)
    for warning in findings.warnings:
        print(f"warning: {warning}")
    for fault in findings.faults:
        print(f"FAULT: {fault}")
    for line in lines:
        print(line)
    for split in splits:
        summary = split.summary
        print(
            f"{output}, split {split.folder.split}: {summary.records_read} records read = "
            f"{summary.records_converted} converted + {summary.num_rejects} rejected; {summary.num_features} "
            f"features in {len(split.shards)} shards"
        )
    if findings.faults:
        skipped = "; --against waits until there are none" if arguments.against and not lines else ""
        print(f"{len(findings.faults)} faults, {len(findings.warnings)} warnings{skipped}")
        return options.EXIT_FAILED
    print(f"no faults, {len(findings.warnings)} warnings")
    return options.EXIT_OK


def main(argv: Sequence[str] | None = None) -> int:
    """The command; gives the exit status."""
    parser = argparse.ArgumentParser(prog="melbeam verify", description=DESCRIPTION)
    add_arguments(parser)
    arguments = parser.parse_args(sys.argv[1:] if argv is None else argv)
    return options.exit_status(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
