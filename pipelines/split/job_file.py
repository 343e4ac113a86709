"""job.json: what a split is made of, and so whose it is.

It is written before anything else of a split, so it decides whose attempts count: a job that was taken for dead,
or that goes on where its launcher gave up, must not write over what a later job made.
"""

from __future__ import annotations

from typing import Any

from melbeam.pipelines import files
from melbeam.transforms.folder_layout import SplitFolder

_NAMES = ("hash", "identity")
# These stand in job.json while --overwrite deletes the earlier split, which belongs to no job then: that it is
# being replaced, and whether it was made of another split's rejects.
_BEING_REPLACED, _OF_REJECTS = "being_replaced", "of_rejects"


class UnusableJobFile(ValueError):
    """job.json is there, but does not say what the split is made of."""


class TakenOver(RuntimeError):
    """The split is another job's by now."""


def short_hash(job_hash: str) -> str:
    """The beginning of a job's hash, which tells jobs apart for a person."""
    return job_hash[:16]


def read_job(folder: SplitFolder) -> dict[str, Any] | None:
    """The "hash", the "identity" and more of the split's job; None where there is no job.json.

    Raises:
        UnusableJobFile: it is torn, or the split was being replaced when its job was killed.
    """
    try:
        job = files.read_json(folder.job)
    except FileNotFoundError:
        return None
    except files.TornFile as error:
        raise UnusableJobFile(f"{error}: --overwrite makes the split anew") from error
    if isinstance(job, dict) and job.get(_BEING_REPLACED):
        raise UnusableJobFile(f"{folder.job}: the split was being replaced: pass --overwrite again")
    if not isinstance(job, dict) or not all(name in job for name in _NAMES):
        raise UnusableJobFile(f"{folder.job} does not say {', '.join(_NAMES)}: --overwrite makes the split anew")
    return job


def write_job(folder: SplitFolder, job: dict[str, Any]) -> None:
    """Makes the split the job's, which says "hash", "identity" and what else there is to know of it."""
    files.write_json(folder.job, job)


def mark_as_being_replaced(folder: SplitFolder) -> None:
    """Makes the split nobody's: from here on, what the job before it still commits changes nothing."""
    files.write_json(folder.job, {_BEING_REPLACED: True, _OF_REJECTS: is_of_rejects(folder)})


def is_of_rejects(folder: SplitFolder) -> bool:
    """Whether a split is known to be made of another one's rejects, also while it is being replaced."""
    try:
        job = files.read_json(folder.job)
    except (FileNotFoundError, files.TornFile):
        return False
    if not isinstance(job, dict):
        return False
    identity = job.get("identity")
    of_a_job = isinstance(identity, dict) and identity.get("rejects") is not None
    return of_a_job or job.get(_OF_REJECTS) is True


def check_owner(folder: SplitFolder, job_hash: str) -> None:
    """Returns if the split is this job's, or nobody's who says so.

    Raises:
        TakenOver: it is another's.
    """
    try:
        owner = read_job(folder)
    except UnusableJobFile as error:
        raise TakenOver(f"{error}; this job has ended") from error
    if owner is not None and owner["hash"] != job_hash:
        raise TakenOver(
            f"{folder.output}: split {folder.split!r} is another job's by now ("
            f"{short_hash(owner['hash'])}; this one is {short_hash(job_hash)}): this one has ended, and has "
            "changed nothing of it"
        )
