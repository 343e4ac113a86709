"""What a split is made of, and whether an output folder may take it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from melbeam.pipelines import files
from melbeam.pipelines.extracting.watchdog import MAX_CONVERT_SECONDS
from melbeam.pipelines.split.leftovers import delete_temporaries
from melbeam.pipelines.split.plan import Shard, plan_hash
from melbeam.transforms.folder_layout import SplitFolder, of_all_splits
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.schema import RECORD_VERSION

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
            "pad_to_max_length": self.options.pads(self.front_end),
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
        FolderRefused: the folder has another front end, or the split another job; the difference is named.
    """
    folder = job.folder
    for path, _ in files.match(of_all_splits(folder.output, "job.json")):
        split = SplitFolder.holding(path).split
        if split == folder.split:
            continue
        found = files.read_json(path)["identity"]
        for name in ("fingerprint", *_SHARED_OPTIONS):
            if found[name] != job.identity[name]:
                raise FolderRefused(
                    f"{folder.output} holds split {split!r} with {name} {found[name]!r}, this job has "
                    f"{job.identity[name]!r}, and one folder has one: choose another --output"
                )
    if files.exists(folder.job):
        found = files.read_json(folder.job)
        if found["hash"] == job.hash and not overwrite:
            return True
        if not overwrite:
            differences = [
                f"{name} was {found['identity'].get(name)!r} and is now {value!r}"
                for name, value in job.identity.items()
                if found["identity"].get(name) != value
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
    files.write_json(
        folder.job, {"hash": job.hash, "identity": job.identity, "front_end": job.front_end.to_dict()}
    )
    return False


def _delete_split(folder: SplitFolder) -> None:
    """The reports first, so that a half-deleted split is never taken for a finished one.

    job.json last: shards without one would be refused as somebody else's.
    """
    files.delete([folder.summary])
    for glob in folder.contents_globs:
        files.delete([path for path, _ in files.match(glob)])
    delete_temporaries(folder)
    files.delete([path for path, _ in files.match(folder.shards_glob)])
    files.delete([folder.job])
