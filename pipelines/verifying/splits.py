"""A split as its bookkeeping describes it: front end, options and plan, held against each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from melbeam.pipelines import files
from melbeam.pipelines.split.job import identity_hash
from melbeam.pipelines.split.lock import is_alive, read_lock
from melbeam.pipelines.split.plan import Shard, plan_hash, read_plan
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.pipelines.verifying.findings import Findings
from melbeam.pipelines.verifying.ids import ShardIds
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.reading.not_features import is_of_ingest
from melbeam.transforms.records.chunking import Chunking
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.schema import why_newer

# What reading a small file raises where its content is not what melbeam writes.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)
_CANNOT_BE_READ = "job.json or plan.jsonl cannot be read"
_ANEW = "which writes it anew"
_EDITED = f"it was edited; extract again, {_ANEW}"


@dataclass
class Split:
    """A split of the folder.

    Attributes:
        folder: its paths.
        front_end: of its features.
        options: how its records were read and written.
        record_version: `RECORD_VERSION` as it was written with.
        job_hash: of the job that made it.
        shards: its plan.
        leaves_out: whether its job leaves the clips of other splits out.
        summary: the sum of the reports that could be read.
        has_all_reports: whether they all could.
        ids: of the records of each shard that was read.
    """

    folder: SplitFolder
    front_end: FrontEnd
    options: RecordOptions
    record_version: int
    job_hash: str
    shards: list[Shard]
    leaves_out: bool = False
    summary: SplitSummary = field(default_factory=SplitSummary)
    has_all_reports: bool = True
    ids: list[ShardIds] = field(default_factory=list)

    @cached_property
    def chunking(self) -> Chunking:
        """How its long clips were cut."""
        return Chunking.of(self.front_end, self.options)


def is_unfinished(folder: SplitFolder, findings: Findings) -> bool:
    """Notes a split whose job has not ended, as one fault: what it lacks is not wrong, only not there yet."""
    if files.exists(folder.summary) or not (files.exists(folder.job) and files.exists(folder.plan)):
        return False
    try:
        num_shards = sum(1 for _ in read_plan(folder.plan))
    except UNREADABLE:
        return False
    identity = identity_of(folder)
    job = "ingest" if is_of_ingest(folder) else "retry-rejects" if "rejects" in identity else "extract"
    what = _who_is_at_work(folder) or f"its job was interrupted: the same melbeam {job} command goes on from there"
    # How many shards a divided corpus gets is known only when all of it was read.
    num_done = len(files.match(folder.reports_glob))
    done = "" if "division" in identity else f", {num_done} of {num_shards} shards are done"
    findings.fault(folder.bookkeeping, f"it is not finished{done}; {what}")
    return True


def identity_of(folder: SplitFolder) -> dict[str, Any]:
    """What a split's job.json says that it is made of; nothing where it cannot be read."""
    try:
        return dict(files.read_json(folder.job)["identity"])
    except UNREADABLE:
        return {}


def _who_is_at_work(folder: SplitFolder) -> str | None:
    holder = read_lock(folder.lock)
    if not holder or not is_alive(holder):
        return None
    return f"process {holder['pid']} on {holder['host']} is at work on it: verify it when that has ended"


def read_split(folder: SplitFolder, findings: Findings) -> Split | None:
    """The split, of which each part of the bookkeeping agrees with the others; None where it cannot be read."""
    try:
        job = files.read_json(folder.job)
        identity, front_end = dict(job["identity"]), FrontEnd.from_dict(job["front_end"])
        options = RecordOptions.of(identity)
        Chunking.of(front_end, options)
        job_hash, version = job["hash"], identity["record_version"]
    except UNREADABLE as error:
        findings.fault(folder.bookkeeping, f"{_CANNOT_BE_READ} ({error}): extract again, with --overwrite")
        return None
    try:
        shards = list(read_plan(folder.plan))
    except UNREADABLE as error:
        findings.fault(folder.bookkeeping, f"{_CANNOT_BE_READ} ({error}): extract again, {_ANEW}")
        return None
    newer = why_newer(version)
    if newer is not None:
        findings.fault(folder.job, newer)
        return None
    if not isinstance(version, int) or version < 1:
        findings.fault(folder.job, f"record_version is {version!r}, which no melbeam has written: {_EDITED}")
        return None
    if job_hash != identity_hash(identity):
        findings.fault(folder.job, f"its hash is not that of what it says: {_EDITED}")
    expected = {
        "fingerprint": front_end.fingerprint,
        "max_audio_length": front_end.max_audio_length,
        "frames_per_token": front_end.frames_per_token,
        "max_audio_tokens": front_end.max_audio_tokens,
    }
    for name, value in expected.items():
        if identity.get(name) != value:
            findings.fault(
                folder.job, f"{name} {identity.get(name)!r} is not its front end's, {value!r}: {_EDITED}"
            )
    if identity.get("num_shards") != len(shards):
        findings.fault(folder.plan, f"{len(shards)} shards, job.json says {identity.get('num_shards')}")
    if identity.get("input") != plan_hash(shards, of_rejects=identity.get("rejects") is not None):
        findings.fault(folder.plan, f"it is not the plan that job.json was written for: {_EDITED}")
    if at_work := _who_is_at_work(folder):
        findings.warn(folder.bookkeeping, at_work)
    return Split(folder, front_end, options, version, job_hash, shards, "not_in" in identity)
