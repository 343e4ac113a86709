"""What a split is made of, and whether an output folder may take it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from melbeam.pipelines import files, words
from melbeam.pipelines.defaults import MAX_CONVERT_SECONDS, MAX_REJECT_FRACTION
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.split.finding import splits_in
from melbeam.pipelines.split.job_file import UnusableJobFile, mark_as_being_replaced, read_job, write_job
from melbeam.pipelines.split.leftovers import delete_gathered, delete_temporaries
from melbeam.pipelines.split.lock import SplitLock
from melbeam.pipelines.split.plan import Shard, plan_hash, read_plan
from melbeam.pipelines.split.reports import SplitSummary, UnusableSummary
from melbeam.transforms.bounds import check_number
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.front_end import FrontEnd, usually_taken
from melbeam.transforms.records.chunking import Chunking
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.schema import RECORD_VERSION

_LONGEST_CONVERSION = 1e6  # seconds
_LOG = logging.getLogger("melbeam")
_NAMED_FILES = 3  # of each kind of difference, in a refusal


class FolderRefused(UsageError):
    """The output folder holds something else than this job would write."""


class SplitJob(Protocol):
    """What any job on a split says of itself."""

    @property
    def folder(self) -> SplitFolder:
        """Where the split's files lie."""
        ...

    @property
    def plan_hash(self) -> str:
        """SHA-256, in hex, of the plan."""
        ...

    @property
    def max_reject_fraction(self) -> float:
        """Rejects as a share of the records, above which the exit status tells."""
        ...

    @property
    def shared(self) -> tuple[str, ...]:
        """The parts of the identity that all splits of a folder have alike."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides the bytes of the split."""
        ...

    @property
    def hash(self) -> str:
        """SHA-256, in hex, of the identity."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The job as job.json keeps it."""
        ...


@dataclass(frozen=True)
class Job:
    """What a split is made of, and the bounds within which it is made.

    Attributes:
        folder: where the split's files lie.
        front_end: of the features.
        options: how records are read and written.
        plan_hash: SHA-256, in hex, of the plan.
        num_shards: of the plan.
        max_reject_fraction: of the records; above it a shard's job stops early, and the exit status tells.
        max_convert_seconds: that one record may take.
        gpu: whether workers may use a GPU.
        recheck: whether shards that are done are read again before they are taken as done.
        dataset_name: that TFDS finds the folder by, where it has one.
        not_in: the splits of the folder whose clips are left out, and the hash of each one's job.
        rejects: of a split that is made of another one's rejects, a hash of what they hold.

    Raises:
        ValueError: a bound is none, or the front end has no length to pad to; the message names it, as the command
            line spells it.
    """

    folder: SplitFolder
    front_end: FrontEnd
    options: RecordOptions
    plan_hash: str
    num_shards: int
    max_reject_fraction: float = MAX_REJECT_FRACTION
    max_convert_seconds: float = MAX_CONVERT_SECONDS
    gpu: bool = False
    recheck: bool = False
    dataset_name: str | None = None
    not_in: Mapping[str, str] = field(default_factory=dict)
    rejects: str | None = None

    def __post_init__(self) -> None:
        self.options.pads(self.front_end)
        Chunking.of(self.front_end, self.options)
        check_number("--max_reject_fraction", self.max_reject_fraction, at_least=0, at_most=1)
        check_number(
            "--max_convert_seconds", self.max_convert_seconds, above=0, at_most=_LONGEST_CONVERSION, unit="seconds"
        )

    @classmethod
    def of(
        cls,
        folder: SplitFolder,
        front_end: FrontEnd,
        options: RecordOptions,
        shards: list[Shard],
        **fields: Any,
    ) -> Job:
        """The job of a plan; `fields` are those behind `num_shards`."""
        return cls(folder, front_end, options, plan_hash="", num_shards=0, **fields).with_plan(shards)

    def with_plan(self, shards: list[Shard]) -> Job:
        """The same job, of another plan."""
        return replace(self, plan_hash=plan_hash(shards), num_shards=len(shards))

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides the bytes of the split."""
        front_end = self.front_end
        is_usual = front_end.model_takes == usually_taken(front_end.compression)
        return {
            "record_version": RECORD_VERSION,
            "fingerprint": front_end.fingerprint,
            "max_audio_length": self.front_end.max_audio_length,
            "frames_per_token": self.front_end.frames_per_token,
            "max_audio_tokens": self.front_end.max_audio_tokens,
            **asdict(self.options),
            "pad_to_max_length": self.options.pads(self.front_end),
            "input": self.plan_hash,
            "num_shards": self.num_shards,
            # Usual values are left out, so that the hashes of earlier jobs stay the same.
            **({} if is_usual else {"model_takes": front_end.model_takes}),
            **({"not_in": dict(self.not_in)} if self.not_in else {}),
            **({"rejects": self.rejects} if self.rejects is not None else {}),
        }

    @property
    def hash(self) -> str:
        """SHA-256, in hex, of the identity."""
        return identity_hash(self.identity)

    @property
    def shared(self) -> tuple[str, ...]:
        """The parts of the identity that all splits of a folder have alike, as its one front_end.json says them.

        Readers bring each clip to the frames of its `max_audio_length` where the model takes the full length.
        """
        alike = ("fingerprint", "dtype", "encoding", "model_takes")
        return (*alike, "max_audio_length") if self.front_end.takes_full_length else alike

    def to_json(self) -> dict[str, Any]:
        """The job as job.json keeps it."""
        content = {"hash": self.hash, "identity": self.identity, "front_end": self.front_end.to_dict()}
        return content if self.dataset_name is None else {**content, "dataset_name": self.dataset_name}


def identity_hash(identity: dict[str, Any]) -> str:
    """SHA-256, in hex, of a job's identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def claim_splits(jobs: Sequence[SplitJob], shards: list[Shard], *, overwrite: bool) -> None:
    """Makes splits this job's: writes each one's job.json, or finds that it is this very job, to be resumed.

    Args:
        jobs: to be done, as each split has it; where one of them is refused, none of the splits is changed.
        shards: its plan.
        overwrite: whether splits of another job may be deleted.

    Raises:
        FolderRefused: the folder has another front end, or a split another job; the difference is named. Or
            what a split is made of cannot be told, where a power cut has torn job.json, say.
        Locked: a job is at work on what was retried of a split that is to be replaced.
    """
    found = [_job_found(job, shards, overwrite=overwrite) for job in jobs]
    for job, there in zip(jobs, found, strict=True):
        if there is not None:
            if not overwrite:
                continue
            _delete_retried(job.folder)
            _delete_split(job.folder)
        write_job(job.folder, job.to_json())


def _job_found(job: SplitJob, shards: list[Shard], *, overwrite: bool) -> dict[str, Any] | None:
    """What the split's job.json holds: this very job, or one that may be replaced; None where there is none.

    Raises:
        FolderRefused: the folder is not this job's to write into.
    """
    folder = job.folder
    _check_other_splits(job)
    try:
        found = read_job(folder)
    except UnusableJobFile as error:
        if not overwrite:
            raise FolderRefused(Refusal.UNUSABLE_JOB_FILE, str(error)) from error
        return {}
    if found is None:
        if files.match(folder.shards_glob):
            raise FolderRefused(
                Refusal.FOREIGN_FILES,
                f"{folder.output} holds shards of split {folder.split!r} that melbeam did not write: "
                "choose another --output or --split",
            )
    elif not overwrite and found["hash"] != job.hash:
        raise FolderRefused(
            Refusal.OTHER_JOB,
            f"{folder.output} holds split {folder.split!r} of another job: "
            f"{'; '.join(_differences(job, shards, found['identity']))}. "
            "Choose another --output or --split, or pass --overwrite to replace the split",
        )
    return found


def _check_other_splits(job: SplitJob) -> None:
    """Refuses a folder whose other splits have another front end, or features of another form.

    A summary that the folder's metadata could not be made from is found here, and not when the work is done.
    """
    folder = job.folder
    for other in splits_in(folder.output):
        if other == folder:
            continue
        found = _identity_of_another(other)
        for name in job.shared:
            there, here = (identity.get(name, "as usual") for identity in (found, job.identity))
            if found and there != here:
                raise FolderRefused(
                    Refusal.OTHER_FRONT_END,
                    f"{folder.output} holds split {other.split!r} with {name} {there!r}, this job has "
                    f"{here!r}, and one folder has one: choose another --output",
                )
        if files.exists(other.summary):
            try:
                SplitSummary.read(other.summary)
            except UnusableSummary as error:
                raise FolderRefused(error.refusal, str(error)) from error


def _identity_of_another(other: SplitFolder) -> dict[str, Any]:
    """What another split of the folder is made of; nothing where that cannot be told and does not matter.

    Raises:
        FolderRefused: it cannot be told, but the split is finished, so that the folder's metadata speak of it.
    """
    try:
        return (read_job(other) or {}).get("identity", {})
    except UnusableJobFile as error:
        if not files.exists(other.summary):
            return {}  # it is made anew before it is described, and is compared with this job then
        raise FolderRefused(
            Refusal.UNUSABLE_JOB_FILE,
            f"{error}. It is that of the finished split {other.split!r}, which may be of another front end: "
            f"extract it again first, or remove {other.summary}",
        ) from error


def _differences(job: SplitJob, shards: list[Shard], found: dict[str, Any]) -> list[str]:
    """What the split on disk was made of and this job is not, for a person."""
    differences = [
        f"{name} was {found.get(name)!r} and is now {value!r}"
        for name, value in job.identity.items()
        if found.get(name) != value and name not in ("input", "rejects")
    ]
    left = sorted(found.keys() - job.identity)
    differences += [f"{name} was {found[name]!r} and is now not asked for" for name in left]
    if "rejects" in job.identity and found.get("rejects") != job.identity["rejects"]:
        differences.append(
            "it was made of other rejects than the split that is retried has now, or by a melbeam that did not "
            "note which"
        )
    elif found.get("input") != job.plan_hash:
        differences += _differences_of_input(job.folder, shards)
    return differences


def _differences_of_input(folder: SplitFolder, shards: list[Shard]) -> list[str]:
    """The input files by which the plan on disk and this one differ."""
    try:
        before = {shard.path: shard.unit.size for shard in read_plan(folder.plan)}
    except (OSError, ValueError, TypeError):  # it was never written whole
        return ["the input is another one"]
    now = {shard.path: shard.unit.size for shard in shards}
    kinds = {
        "only now in the input": [path for path in now if path not in before],
        "not in the input any more": [path for path in before if path not in now],
        "of another size": [
            f"{path} ({before[path]} bytes, now {now[path]})"
            for path in now
            if path in before and before[path] != now[path]
        ],
    }
    found = [f"{what}: {words.first_few(paths, _NAMED_FILES)}" for what, paths in kinds.items() if paths]
    return found or ["the same input files are cut into shards otherwise (--shard_bytes, --limit, --columns)"]


def _delete_retried(folder: SplitFolder) -> None:
    """Deletes what passed when a split's rejects were tried again: the new split may have these clips itself.

    Raises:
        Locked: a job is at work on it; nothing is changed then.
    """
    retried = folder.retried
    try:
        job = read_job(retried)
    except UnusableJobFile:
        return
    if job is None or job.get("identity", {}).get("rejects") is None:  # of that name, and not made of rejects
        return
    with SplitLock(retried):
        _delete_retried(retried)
        _delete_split(retried)
        others = [
            path for path, _ in files.match(retried.bookkeeping_glob) if path not in (retried.job, retried.lock)
        ]
        files.delete([*others, retried.job])
    _LOG.warning(
        "%s: split %r goes with %r, which is replaced: retry-rejects makes it of the new rejects",
        folder.output,
        retried.split,
        folder.split,
    )


def _delete_split(folder: SplitFolder) -> None:
    """The reports go first, so that a half-deleted split is never taken for a finished one.

    job.json stays, for shards without one would be refused as somebody else's; but it names no job any more.
    """
    mark_as_being_replaced(folder)
    files.delete([folder.summary, folder.failure_log])
    for glob in folder.contents_globs:
        files.delete([path for path, _ in files.match(glob)])
    delete_temporaries(folder)
    delete_gathered(folder)
    for glob in (folder.tables_glob, folder.shards_glob):
        files.delete([path for path, _ in files.match(glob)])
