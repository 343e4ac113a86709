"""What a split is made of, and whether an output folder may take it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from melbeam.pipelines import files
from melbeam.pipelines.extracting.watchdog import MAX_CONVERT_SECONDS
from melbeam.pipelines.split.job_file import UnusableJobFile, mark_as_being_replaced, read_job, write_job
from melbeam.pipelines.split.leftovers import delete_temporaries
from melbeam.pipelines.split.plan import Shard, plan_hash
from melbeam.transforms.folder_layout import SplitFolder, of_all_splits
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.options import RecordOptions

# Raised whenever the bytes of the same records change.
RECORD_VERSION = 1
# One features.json describes all splits of a folder, so these must be the same in each.
_SHARED_OPTIONS = ("dtype", "encoding")


class FolderRefused(ValueError):
    """The output folder holds something else than this job would write."""


@dataclass(frozen=True)
class Job:
    """Front end, options and plan of a split."""

    folder: SplitFolder
    front_end: FrontEnd
    options: RecordOptions
    max_reject_fraction: float
    plan_hash: str
    num_shards: int
    max_convert_seconds: float = MAX_CONVERT_SECONDS

    @classmethod
    def of(
        cls,
        folder: SplitFolder,
        front_end: FrontEnd,
        options: RecordOptions,
        max_reject_fraction: float,
        shards: list[Shard],
        max_convert_seconds: float = MAX_CONVERT_SECONDS,
    ) -> Job:
        """The job of a plan."""
        return cls(
            folder, front_end, options, max_reject_fraction, plan_hash(shards), len(shards), max_convert_seconds
        )

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides the bytes of the split."""
        return {
            "record_version": RECORD_VERSION,
            "fingerprint": self.front_end.fingerprint,
            "max_audio_length": self.front_end.max_audio_length,
            "frames_per_token": self.front_end.frames_per_token,
            "max_audio_tokens": self.front_end.max_audio_tokens,
            **asdict(self.options),
            "input": self.plan_hash,
            "num_shards": self.num_shards,
        }

    @property
    def hash(self) -> str:
        """SHA-256, in hex, of the identity."""
        return identity_hash(self.identity)


def identity_hash(identity: dict[str, Any]) -> str:
    """SHA-256, in hex, of a job's identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def claim_folder(job: Job, *, overwrite: bool) -> bool:
    """Makes the folder this job's: writes job.json, or finds that it is this very job, to be resumed.

    Returns:
        True where an earlier start of the same job left something to resume.

    Raises:
        FolderRefused: the folder has another front end, or the split another job; the difference is named. Or
            what the split is made of cannot be told, where a power cut has torn job.json, say.
    """
    folder = job.folder
    for path, _ in files.match(of_all_splits(folder.output, "job.json")):
        other = SplitFolder.holding(path)
        if other == folder:
            continue
        found = _identity_of_another(other)
        for name in ("fingerprint", *_SHARED_OPTIONS):
            if found and found[name] != job.identity[name]:
                raise FolderRefused(
                    f"{folder.output} holds split {other.split!r} with {name} {found[name]!r}, this job has "
                    f"{job.identity[name]!r}, and one folder has one: choose another --output"
                )
    try:
        mine = read_job(folder)
    except UnusableJobFile as error:
        if not overwrite:
            raise FolderRefused(str(error)) from error
        mine = {}
    if mine is not None:
        if not overwrite and mine["hash"] == job.hash:
            return True
        if not overwrite:
            differences = [
                f"{name} was {mine['identity'].get(name)!r} and is now {value!r}"
                for name, value in job.identity.items()
                if mine["identity"].get(name) != value
            ]
            raise FolderRefused(
                f"{folder.output} holds split {folder.split!r} of another job: {'; '.join(differences)}. "
                "Choose another --output or --split, or pass --overwrite to replace the split"
            )
        _delete_split(folder)
    elif files.match(folder.shards_glob):
        raise FolderRefused(
            f"{folder.output} holds shards of split {folder.split!r} that melbeam did not write: "
            "choose another --output or --split"
        )
    write_job(folder, job.hash, job.identity, job.front_end.to_dict())
    return False


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
            f"{error}. It is that of the finished split {other.split!r}, which may be of another front end: "
            f"extract it again first, or remove {other.summary}"
        ) from error


def _delete_split(folder: SplitFolder) -> None:
    """The reports go first, so that a half-deleted split is never taken for a finished one.

    job.json stays, for shards without one would be refused as somebody else's; but it names no job any more.
    """
    mark_as_being_replaced(folder)
    files.delete([folder.summary])
    for glob in folder.contents_globs:
        files.delete([path for path, _ in files.match(glob)])
    delete_temporaries(folder)
    files.delete([path for path, _ in files.match(folder.shards_glob)])
