"""Splits of audio, as `melbeam ingest` writes them: every byte is read, and every count is counted again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from melbeam.pipelines import files
from melbeam.pipelines.sources.units import Unit
from melbeam.pipelines.split.job import identity_hash
from melbeam.pipelines.split.plan import Shard, plan_hash, read_plan
from melbeam.pipelines.split.reports import ShardReport, SplitSummary
from melbeam.pipelines.split.tally import Tally
from melbeam.pipelines.verifying.differences import differences
from melbeam.pipelines.verifying.findings import Findings
from melbeam.pipelines.verifying.ids import ShardIds, hash_of_id
from melbeam.pipelines.verifying.input_records import InputRecords, check_outcomes, records_in
from melbeam.pipelines.verifying.marked_files import is_whole, read_whole
from melbeam.pipelines.verifying.splits import UNREADABLE
from melbeam.pipelines.verifying.strays import check_strays
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.records.clip_length import microseconds_of
from melbeam.transforms.records.examples import clip_id_in, features_if_any
from melbeam.transforms.records.reject_record import read_reject
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.schema import RECORD_VERSION

_COUNTED = (
    "records_read",
    "records_converted",
    "num_features",
    "microseconds",
    "unknown_lengths",
    "damaged_bytes",
)
_AGAIN = "ingest again, with --overwrite"


@dataclass
class AudioSplit:
    """A split of audio records.

    Attributes:
        folder: its paths.
        job_hash: of the job that made it.
        identity: of that job.
        plan: of the job's input, of which each shard is one unit where nothing was divided.
        shards: of the split.
        summary: the sum of the reports that could be read.
        ids: of the records of each shard that was read.
    """

    folder: SplitFolder
    job_hash: str
    identity: dict[str, Any]
    plan: list[Shard]
    shards: list[Shard]
    summary: SplitSummary = field(default_factory=SplitSummary)
    ids: list[ShardIds] = field(default_factory=list)

    @property
    def made_together(self) -> list[str]:
        """The splits that the clips were divided into; none where they were not."""
        return list(self.identity.get("division", {}).get("splits", ()))


def read_audio_split(folder: SplitFolder, findings: Findings) -> AudioSplit | None:
    """The split, of which each part of the bookkeeping agrees with the others; None where it cannot be read."""
    try:
        job = files.read_json(folder.job)
        identity, job_hash = dict(job["identity"]), job["hash"]
        plan = list(read_plan(folder.plan))
        shards = plan
        if "division" in identity:
            count = len(SplitSummary.read(folder.summary).shard_features)
            shards = [Shard(index, count, Unit("", 0)) for index in range(count)]
    except UNREADABLE as error:
        findings.fault(
            folder.bookkeeping, f"job.json, plan.jsonl or summary.json cannot be read ({error}): {_AGAIN}"
        )
        return None
    if job_hash != identity_hash(identity):
        findings.fault(folder.job, f"its hash is not that of what it says: it was edited; {_AGAIN}")
    if identity.get("input") != plan_hash(plan):
        findings.fault(folder.plan, f"it is not the plan that job.json was written for: it was edited; {_AGAIN}")
    return AudioSplit(folder, job_hash, identity, plan, shards)


def check_audio_split(split: AudioSplit, findings: Findings) -> None:
    """Checks all shards of a split, and adds their reports to its summary and their ids to its ids."""
    check_strays(split.folder, split.shards, findings)
    records = InputRecords(split.folder, findings, job="ingest", leaves_out="not_in" in split.identity)
    has_all_reports = True
    for shard in split.shards:
        report = _read_report(split, shard, findings)
        has_all_reports = has_all_reports and report is not None
        if not split.made_together:
            records.check(shard, report)
        if report is not None:
            split.summary.add_shard(report)
            _check_shard(split, shard, report, findings)
    try:
        said = SplitSummary.read(split.folder.summary).to_dict()
    except UNREADABLE as error:
        findings.fault(split.folder.summary, f"it cannot be read ({error}): {_AGAIN}")
        return
    for difference in differences(said, split.summary.to_dict()) if has_all_reports else ():
        findings.fault(split.folder.summary, f"it is not the sum of the reports: {difference}; {_AGAIN}")


def check_made_together(splits: list[AudioSplit], findings: Findings) -> None:
    """Sees to it that the splits that clips were divided into come to all records of the input."""
    by_job: dict[str, list[AudioSplit]] = {}
    for split in splits:
        if split.made_together:
            by_job.setdefault(split.job_hash, []).append(split)
    for parts in by_job.values():
        first, found = parts[0], [part.folder.split for part in parts]
        missing = [name for name in first.made_together if name not in found]
        if missing:
            together = f"which was made together with {', '.join(map(repr, found))}"
            findings.fault(first.folder.output, f"split {missing[0]!r}, {together}, is not there")
            continue
        of_shards = [records_in(shard) for shard in first.plan]
        there = sum(count for count in of_shards if count is not None)
        taken = sum(part.summary.records_read + part.summary.left_out for part in parts)
        if None not in of_shards and there != taken:
            names = ", ".join(first.made_together)
            findings.fault(
                first.folder.output,
                f"splits {names}: {taken} records were read or left out, and the input has {there}: {_AGAIN}",
            )


def _read_report(split: AudioSplit, shard: Shard, findings: Findings) -> ShardReport | None:
    path = split.folder.report(shard.index)
    try:
        report = ShardReport.from_dict(files.read_json(path))
    except UNREADABLE as error:
        findings.fault(
            path, f"no report of shard {shard.index} can be read ({error}): ingest again, it is done anew"
        )
        return None
    said = (report.job_hash, report.index, report.num_shards)
    of_input = split.made_together or (report.input_path, report.input_size) == (shard.path, shard.unit.size)
    if said != (split.job_hash, shard.index, shard.num_shards) or not of_input:
        findings.fault(path, f"it is not the report of shard {shard.index} in this job: {_AGAIN}")
        return None
    check_outcomes(path, report, findings, clips="clips", kept="written", again=_AGAIN)
    return report


def _check_shard(split: AudioSplit, shard: Shard, report: ShardReport, findings: Findings) -> None:
    """Counts the clips and the rejects of a shard again."""
    path = split.folder.shard(shard.index, shard.num_shards)
    tally, ids = Tally(), []
    if not is_whole(path, report.features, findings, job="ingest"):
        return
    for record in read_whole(path, findings):
        features = features_if_any(record.data)
        tally.count_record(microseconds_of(features))
        try:
            ids.append(hash_of_id(clip_id_in(features)))
        except Reject:
            continue  # `melbeam extract` turns it away
    found = np.array(ids, np.uint64)
    split.ids.append(ShardIds(path, found, found))
    if not _count_rejects(split.folder.rejects(shard.index), report, tally, findings):
        return
    counts = [(name, getattr(report, name), getattr(tally, name)) for name in _COUNTED]
    counts.append(("features.num_records", report.features.num_records, tally.num_features))
    if report.rejected is not None:
        counts.append(("rejected.num_records", report.rejected.num_records, tally.num_rejects))
    for name, said, counted in counts:
        if counted != said:
            findings.fault(
                split.folder.report(shard.index), f"{name} is {said}, the records come to {counted}: {_AGAIN}"
            )
    for name in ("rejects", "named_ids"):
        for difference in differences(getattr(report, name), getattr(tally, name), "the records come to", name):
            findings.fault(split.folder.report(shard.index), f"{difference}: {_AGAIN}")


def _count_rejects(path: str, report: ShardReport, tally: Tally, findings: Findings) -> bool:
    """Counts the rejects of a shard again; says whether they are what the report takes them for."""
    if report.rejected is None:
        if files.exists(path):
            findings.fault(path, f"the report of shard {report.index} knows of no rejects")
            return False
        return True
    if not is_whole(path, report.rejected, findings, job="ingest"):
        return False
    for record in read_whole(path, findings):
        try:
            rejected = read_reject(record.data, RECORD_VERSION)
        except ValueError as error:
            findings.fault(path, str(error), record.number)
            return False
        tally.count_reject(rejected.reason, rejected.name)
        tally.damaged_bytes += rejected.damaged_bytes
    return True
