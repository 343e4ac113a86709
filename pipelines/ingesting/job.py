"""What splits of audio TFRecords are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from melbeam.pipelines.defaults import MAX_REJECT_FRACTION, SHARD_BYTES
from melbeam.pipelines.ingesting.division import Division
from melbeam.pipelines.refusals import Refusal
from melbeam.pipelines.sources.units import Unit
from melbeam.pipelines.split.finding import splits_in
from melbeam.pipelines.split.job import FolderRefused, identity_hash
from melbeam.pipelines.split.job_file import UnusableJobFile, read_job
from melbeam.pipelines.split.plan import Shard
from melbeam.transforms.bounds import check_number
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.records.schema import MAX_EXAMPLE_BYTES

# Raised whenever the bytes of the same records change.
_INGEST_VERSION = 1


class _AudioJob(ABC):
    """Holds what all jobs of `melbeam ingest` have alike: a bound, a hash, and how job.json keeps them."""

    max_reject_fraction: float

    def __post_init__(self) -> None:
        check_number("--max_reject_fraction", self.max_reject_fraction, at_least=0, at_most=1)

    @property
    def max_record_bytes(self) -> int:
        """The largest record that is written: the largest that can be read."""
        return MAX_EXAMPLE_BYTES

    @property
    def shared(self) -> tuple[str, ...]:
        """The parts of the identity that all splits of a folder have alike."""
        return ("ingest_version",)

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """All that decides the bytes of the job's splits."""

    @property
    def hash(self) -> str:
        """SHA-256, in hex, of the identity."""
        return identity_hash(self.identity)

    def to_json(self) -> dict[str, Any]:
        """The job as job.json keeps it."""
        return {"hash": self.hash, "identity": self.identity}


@dataclass(frozen=True)
class IngestJob(_AudioJob):
    """A split of audio TFRecords, whose shards are the units of the input, in order.

    Attributes:
        folder: where the split's files lie.
        plan_hash: SHA-256, in hex, of the plan.
        num_shards: of the plan.
        max_reject_fraction: of the records; above it the exit status tells.
        not_in: the splits of the folder whose clips are left out, and the hash of each one's job.

    Raises:
        ValueError: a bound is none; the message names it, as the command line spells it.
    """

    folder: SplitFolder
    plan_hash: str
    num_shards: int
    max_reject_fraction: float = MAX_REJECT_FRACTION
    not_in: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides the bytes of the split."""
        return {
            "ingest_version": _INGEST_VERSION,
            "input": self.plan_hash,
            "num_shards": self.num_shards,
            **({"not_in": dict(self.not_in)} if self.not_in else {}),
        }


@dataclass(frozen=True)
class DividedJob(_AudioJob):
    """Splits of audio TFRecords that are made together: the input's clips, divided and perhaps shuffled.

    Each split's folder says the same of it, so `of_split` is the job as a split has it.

    Attributes:
        folder: of one of the splits; of the first, where the job itself is meant.
        division: how clips are divided and ordered.
        plan_hash: SHA-256, in hex, of the plan of the input.
        num_shards: of each split, but at most one a clip; None goes by `shard_bytes`.
        shard_bytes: of a shard, about.
        max_reject_fraction: of the records of all splits; above it the exit status tells.
        not_in: as of an `IngestJob`.

    Raises:
        ValueError: a bound is none; the message names it, as the command line spells it.
    """

    folder: SplitFolder
    division: Division
    plan_hash: str
    num_shards: int | None = None
    shard_bytes: int = SHARD_BYTES
    max_reject_fraction: float = MAX_REJECT_FRACTION
    not_in: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides the bytes of the splits."""
        size = {"shard_bytes": self.shard_bytes} if self.num_shards is None else {"num_shards": self.num_shards}
        return {
            "ingest_version": _INGEST_VERSION,
            "input": self.plan_hash,
            "division": self.division.to_json(),
            **size,
            **({"not_in": dict(self.not_in)} if self.not_in else {}),
        }

    @property
    def is_shuffled(self) -> bool:
        """Whether clips are written in a random order, and not in the input's."""
        return self.division.seed is not None

    def of_split(self, name: str) -> DividedJob:
        """The job as one of its splits has it."""
        return replace(self, folder=SplitFolder(self.folder.output, name))

    @staticmethod
    def shard(index: int, num_shards: int) -> Shard:
        """A shard of one of its splits, for its name and its report; what it holds comes of all units."""
        return Shard(index, num_shards, Unit("of all the input", 0))

    @property
    def of_splits(self) -> list[DividedJob]:
        """The job as each of its splits has it."""
        return [self.of_split(name) for name in self.division.names]


def check_none_is_left_behind(jobs: Sequence[IngestJob | DividedJob]) -> None:
    """Refuses to replace only some of the splits that clips were divided into.

    Args:
        jobs: the job, as each split has it whose files it replaces.

    Raises:
        FolderRefused: another split of the folder was made together with one of them.
    """
    output, names = jobs[0].folder.output, [job.folder.split for job in jobs]
    for other in splits_in(output):
        if other.split in names:
            continue
        try:
            identity = (read_job(other) or {}).get("identity", {})
        except UnusableJobFile:
            continue  # it was being replaced itself, and belongs to nothing
        together = identity.get("division", {}).get("splits", {})
        if replaced := [name for name in together if name in names]:
            raise FolderRefused(
                Refusal.LEFT_BEHIND,
                f"--overwrite would leave split {other.split!r} of {output}, which was made together with "
                f"{', '.join(map(repr, replaced))} ({','.join(f'{n}={share}' for n, share in together.items())}): "
                "its clips may be in a new split too. Name it in --split, choose another --output, or remove "
                f"{output}/{other.split}-* and {other.bookkeeping} first",
            )
