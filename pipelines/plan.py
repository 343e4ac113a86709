"""Which input file becomes which output shard, and where everything of a split lies.

The plan is a file, so that a million names never sit in the job's graph: input files sorted by full path,
one JSON line each; the line's number is the number of the output shard.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from melbeam.pipelines import files
from melbeam.pipelines.tfrecords import read_tfrecord_file


@dataclass(frozen=True)
class Shard:
    """One input file and the output shard that it becomes."""

    index: int
    num_shards: int
    path: str
    size: int  # bytes
    limit: int | None = None  # records to read at most

    @property
    def name(self) -> str:
        """For people: which shard, of which file."""
        return f"shard {self.index} of {self.num_shards} ({self.path})"


def plan_shards(patterns: Iterable[str]) -> list[Shard]:
    """The plan of all files that the globs name.

    Raises:
        ValueError: a glob that names no file.
    """
    found: dict[str, int] = {}
    for pattern in patterns:
        matched = files.match(pattern)
        if not matched:
            raise ValueError(f"--input={pattern} names no file: check the path, and quote the glob")
        found.update(matched)
    return [Shard(i, len(found), path, size) for i, (path, size) in enumerate(sorted(found.items()))]


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
    files.write_bytes(path, "".join(json.dumps([s.path, s.size, s.limit]) + "\n" for s in shards).encode())


def read_plan(path: str) -> Iterator[Shard]:
    """Inverse of `write_plan`."""
    lines = files.read_bytes(path).decode().splitlines()
    for index, line in enumerate(lines):
        yield Shard(index, len(lines), *json.loads(line))


def plan_hash(shards: list[Shard]) -> str:
    """SHA-256, in hex, of the names and sizes of the input."""
    text = json.dumps([[shard.path, shard.size, shard.limit] for shard in shards])
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class SplitFolder:
    """The paths of one split of an output folder."""

    output: str
    split: str

    def shard(self, index: int, num_shards: int) -> str:
        """A finished shard of features."""
        return f"{self.output}/{self.split}-{index:05d}-of-{num_shards:05d}.tfrecord"

    @property
    def bookkeeping(self) -> str:
        """The folder of everything that is not features."""
        return f"{self.output}/_melbeam/{self.split}"

    @property
    def job(self) -> str:
        """What the split is made of."""
        return f"{self.bookkeeping}/job.json"

    @property
    def plan(self) -> str:
        """The plan."""
        return f"{self.bookkeeping}/plan.jsonl"

    @property
    def summary(self) -> str:
        """Totals of the finished split."""
        return f"{self.bookkeeping}/summary.json"

    def report(self, index: int) -> str:
        """The report of a shard: the mark that it is done."""
        return f"{self.bookkeeping}/reports/{index:05d}.json"

    def rejects(self, index: int) -> str:
        """The rejects of a shard, if it has any."""
        return f"{self.bookkeeping}/rejects/{index:05d}.tfrecord"

    def temporary(self, index: int, attempt: str, kind: str) -> str:
        """A file of one attempt at a shard; kind is "features", "rejects", "report" or "progress"."""
        return f"{self.bookkeeping}/tmp/{index:05d}-{attempt}.{kind}"

    def temporaries(self, index: int | None = None) -> list[str]:
        """All temporary files, or those of one shard."""
        name = "*" if index is None else f"{index:05d}-*"
        return [path for path, _ in files.match(f"{self.bookkeeping}/tmp/{name}")]

    def half_written(self) -> list[str]:
        """Small files that a job which was killed was writing at that moment."""
        patterns = (f"{self.bookkeeping}/*.tmp", f"{self.bookkeeping}/reports/*.tmp")
        return [path for pattern in patterns for path, _ in files.match(pattern)]
