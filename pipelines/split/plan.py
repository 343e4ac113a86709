"""Which input file becomes which output shard.

The plan is a file, so that a million names never sit in the job's graph: input files sorted by full path,
one JSON line for each output shard, whose number is the line's. An input file is one shard, or, if it is large,
several parts of about the same size, cut at record boundaries; where those lie is found in the pipeline.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby, islice
from operator import attrgetter

from melbeam.pipelines import files
from melbeam.pipelines.tfrecord import WHOLE, Span, find_spans, is_compressed, read_tfrecord_file


@dataclass(frozen=True, slots=True)
class Shard:
    """One input file, or a part of it, and the output shard that it becomes."""

    index: int
    num_shards: int
    path: str
    size: int  # bytes, of the file
    limit: int | None = None  # records to read at most
    part: int = 0
    num_parts: int = 1  # of the file
    span: Span = WHOLE  # of the file's records; a part's is found by `find_parts`

    @property
    def name(self) -> str:
        """For people: which shard, of which file."""
        return f"shard {self.index} of {self.num_shards} ({self.source})"

    @property
    def source(self) -> str:
        """For people: which file, and which part of it."""
        return self.path if self.num_parts == 1 else f"part {self.part + 1} of {self.num_parts} of {self.path}"

    @property
    def num_bytes(self) -> int:
        """Of the file, about; a part's begins and ends with a record."""
        return self.size * (self.part + 1) // self.num_parts - self.size * self.part // self.num_parts


def plan_shards(patterns: Iterable[str], max_shard_bytes: int | None = None) -> list[Shard]:
    """The plan of all files that the globs name.

    Args:
        patterns: globs.
        max_shard_bytes: a larger file is planned in parts, unless it is compressed, for then it has to be read
            from its beginning; None for none.

    Raises:
        ValueError: a glob that names no file.
    """
    found: dict[str, int] = {}
    for pattern in patterns:
        matched = files.find_input(pattern)
        if not matched:
            raise ValueError(f"--input={pattern} names no file: check the path, and quote the glob")
        found.update(matched)
    parts = []
    for path, size in sorted(found.items()):
        num_parts = 1
        if max_shard_bytes is not None and size > max_shard_bytes and not is_compressed(path):
            num_parts = -(-size // max_shard_bytes)
        parts += [(path, size, part, num_parts) for part in range(num_parts)]
    return [
        Shard(i, len(parts), path, size, part=part, num_parts=num_parts)
        for i, (path, size, part, num_parts) in enumerate(parts)
    ]


def find_parts(shards: list[Shard], max_record_bytes: int) -> list[Shard]:
    """The shards of one file, with the records that each has.

    Raises:
        OSError: the file cannot be read.
    """
    if len(shards) == 1:
        return shards
    spans = find_spans(shards[0].path, len(shards), max_record_bytes=max_record_bytes)
    return [replace(shard, span=span) for shard, span in zip(shards, spans, strict=True)]


def limit_records(shards: list[Shard], limit: int) -> list[Shard]:
    """The plan cut to the first `limit` records of the input, in the order of the shards."""
    limited = []
    for shard in shards:
        if limit == 0:
            break
        found = sum(1 for _ in islice(read_tfrecord_file(shard.path), limit))
        limited.append(replace(shard, limit=found))
        limit -= found
    return [replace(shard, num_shards=len(limited)) for shard in limited]


def write_plan(path: str, shards: list[Shard]) -> None:
    """Writes the plan as JSON lines."""
    files.write_bytes(path, "".join(json.dumps(_planned(shard)) + "\n" for shard in shards).encode())


def read_plan(path: str) -> Iterator[Shard]:
    """Inverse of `write_plan`."""
    lines = files.read_bytes(path).decode().splitlines()
    for index, line in enumerate(lines):
        path, size, limit, *part = json.loads(line)
        yield Shard(index, len(lines), path, size, limit, *part)


def read_plan_by_file(path: str) -> Iterator[list[Shard]]:
    """The shards of each input file."""
    for _, shards in groupby(read_plan(path), attrgetter("path")):
        yield list(shards)


def plan_hash(shards: list[Shard]) -> str:
    """SHA-256, in hex, of the names and sizes of the input, and of its parts."""
    found = hashlib.sha256(b"[")  # of one JSON list, never all of it at once
    for number, shard in enumerate(shards):
        found.update((", " if number else "").encode() + json.dumps(_planned(shard)).encode())
    found.update(b"]")
    return found.hexdigest()


def _planned(shard: Shard) -> list[str | int | None]:
    part = [shard.part, shard.num_parts] if shard.num_parts > 1 else []
    return [shard.path, shard.size, shard.limit, *part]
