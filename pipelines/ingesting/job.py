"""What a split of audio TFRecords is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from melbeam.pipelines.defaults import MAX_REJECT_FRACTION
from melbeam.pipelines.split.job import identity_hash
from melbeam.transforms.bounds import check_number
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.records.schema import MAX_EXAMPLE_BYTES

# Raised whenever the bytes of the same records change.
_INGEST_VERSION = 1


@dataclass(frozen=True)
class IngestJob:
    """A split of audio TFRecords.

    Attributes:
        folder: where the split's files lie.
        plan_hash: SHA-256, in hex, of the plan.
        num_shards: of the plan.
        max_reject_fraction: of the records; above it the exit status tells.

    Raises:
        ValueError: a bound is none; the message names it, as the command line spells it.
    """

    folder: SplitFolder
    plan_hash: str
    num_shards: int
    max_reject_fraction: float = MAX_REJECT_FRACTION

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
    def identity(self) -> dict[str, Any]:
        """All that decides the bytes of the split."""
        return {"ingest_version": _INGEST_VERSION, "input": self.plan_hash, "num_shards": self.num_shards}

    @property
    def hash(self) -> str:
        """SHA-256, in hex, of the identity."""
        return identity_hash(self.identity)

    def to_json(self) -> dict[str, Any]:
        """The job as job.json keeps it."""
        return {"hash": self.hash, "identity": self.identity}
