"""Which part of the input becomes which output shard.

The plan is a file, so that a million names never sit in the job's graph: one JSON line for each output shard,
whose number is the line's, with the unit of its source that it is made of (`sources.units`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from melbeam.pipelines import files
from melbeam.pipelines.sources import planning
from melbeam.pipelines.sources.kinds import OF_ONE_FILE
from melbeam.pipelines.sources.units import AudioRecord, Item, LeftOut, SourceOptions, Unit, printable
from melbeam.transforms.folder_layout import kept_path


class InputChanged(OSError):
    """A file of the input has another size than it was planned with."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One unit of a source, and the output shard that it becomes."""

    index: int
    num_shards: int
    unit: Unit
    limit: int | None = None  # records to read at most

    @property
    def name(self) -> str:
        """Which shard it is, and of which file, in words for people."""
        return f"shard {self.index} of {self.num_shards} ({self.unit.source})"

    @property
    def path(self) -> str:
        """The file or folder that its records' names begin with."""
        return self.unit.path

    def read(self, max_record_bytes: int) -> Iterator[Item]:
        """Its records and damages, in order, up to its limit.

        Raises:
            OSError: what cannot be read is no single record of it.
            InputChanged: the file is not the one that was planned any more.
        """
        self._check_size()
        for number, item in enumerate(planning.read_unit(self.unit, max_record_bytes)):
            if number == self.limit:
                return
            yield item.whole if isinstance(item, AudioRecord) else item
        if files.is_local(self.path):  # a store's object is replaced as a whole
            self._check_size()  # what was cut off while it was read was read as its end

    def _check_size(self) -> None:
        """Returns if the shard's file has the size that it was planned with, where it is one file of many records.

        Raises:
            InputChanged: it has another one.
        """
        unit = self.unit
        state = files.state(unit.path) if unit.kind in OF_ONE_FILE else None
        if state is not None and state[0] != unit.size:  # of one that is gone its reader tells
            raise InputChanged(
                f"{printable(unit.path)} had {unit.size} bytes when the job began, and has {state[0]} now: its "
                "records would be lost. Start the job again when what writes the file has ended"
            )


def plan_shards(patterns: Sequence[str], options: SourceOptions) -> tuple[list[Shard], LeftOut]:
    """The plan of all that the patterns name, and the files that are no part of it.

    Raises:
        ValueError: a pattern that names no file, or input that cannot be taken.
    """
    planned = planning.plan_units(patterns, options)
    return number_shards(planned.units), planned.left_out


def number_shards(units: Sequence[Unit]) -> list[Shard]:
    """Makes each unit the shard of its place."""
    return [Shard(index, len(units), unit) for index, unit in enumerate(units)]


def find_parts(shards: list[Shard], max_record_bytes: int) -> list[Shard]:
    """The shards of one file, with the records that each has.

    Raises:
        OSError: the file cannot be read.
    """
    units = planning.find_parts([shard.unit for shard in shards], max_record_bytes)
    return [replace(shard, unit=unit) for shard, unit in zip(shards, units, strict=True)]


def limit_records(shards: list[Shard], limit: int) -> list[Shard]:
    """The plan cut to the first `limit` records of the input, in the order of the shards."""
    limited = []
    for shard in shards:
        if limit == 0:
            break
        found = planning.count_records(shard.unit, limit)
        limited.append(replace(shard, limit=found))
        limit -= found
    return [replace(shard, num_shards=len(limited)) for shard in limited]


def write_plan(path: str, shards: Iterable[Shard]) -> None:
    """Writes the plan as JSON lines."""
    files.write_bytes(path, "".join(json.dumps(_planned(shard)) + "\n" for shard in shards).encode())


def read_plan(path: str) -> Iterator[Shard]:
    """Inverse of `write_plan`; takes the lines of every earlier version too.

    Raises:
        ValueError: a line is not a line of a plan.
    """
    lines = files.read_bytes(path).decode().splitlines()
    for index, line in enumerate(lines):
        try:
            value = json.loads(line)
            limit = value[2] if isinstance(value, list) else value["limit"]
            unit = Unit.from_json(value)
            if not isinstance(unit.path, str) or not isinstance(unit.details, Mapping):
                raise TypeError(f"a path must be text, and details a mapping: {unit.path!r}, {unit.details!r}")
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"line {index + 1} of {path} is not a line of a plan: {error!r}") from error
        yield Shard(index, len(lines), unit, limit)


def read_plan_by_file(path: str) -> Iterator[list[Shard]]:
    """The shards of each input file."""
    for _, shards in groupby(read_plan(path), lambda shard: shard.path):
        yield list(shards)


def plan_hash(shards: Iterable[Shard], *, of_rejects: bool = False) -> str:
    """SHA-256, in hex, of the names and sizes of the input, of its parts, and of how it is read.

    Args:
        shards: the plan.
        of_rejects: whether the input lies in the bookkeeping of the folder that is written: it goes where that
            goes, so that the folder's own name counts for nothing.
    """
    found = hashlib.sha256(b"[")  # of one JSON list, never all of it at once
    for number, shard in enumerate(shards):
        if of_rejects:
            shard = replace(shard, unit=replace(shard.unit, path=kept_path(shard.unit.path)))
        found.update((", " if number else "").encode() + json.dumps(_planned(shard)).encode())
    found.update(b"]")
    return found.hexdigest()


def _planned(shard: Shard) -> object:
    planned = shard.unit.to_json()
    if isinstance(planned, list):
        planned[2] = shard.limit  # where it has always stood
        return planned
    return {**planned, "limit": shard.limit}
