"""Which input file becomes which output shard, and where everything of a split lies.

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

# Below a split's bookkeeping: what attempts write, and small files that a process was writing when it was killed.
TEMPORARIES, HALF_WRITTEN = "tmp/*/*", ("*.tmp", "reports/*.tmp")


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
        matched = files.match(pattern)
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

    def temporary_folder(self, index: int) -> str:
        """The folder of what attempts at a shard write: each shard has its own, so that no listing is long."""
        return f"{self.bookkeeping}/tmp/{index:05d}"

    def temporary(self, index: int, attempt: str, kind: str) -> str:
        """A file of one attempt at a shard; kind is "features", "rejects", "report" or "progress"."""
        return f"{self.temporary_folder(index)}/{attempt}.{kind}"

    def temporaries(self, index: int | None = None) -> list[str]:
        """All temporary files, or those of one shard."""
        names = f"{self.bookkeeping}/{TEMPORARIES}" if index is None else f"{self.temporary_folder(index)}/*"
        return [path for path, _ in files.match(names)]

    def delete_temporaries(self, index: int | None = None) -> None:
        """Deletes them, and the folders that they leave empty."""
        paths = self.temporaries(index)
        files.delete(paths)
        folders = {path.rsplit("/", 1)[0] for path in paths}
        for folder in folders if index is None else {self.temporary_folder(index)}:
            files.remove_folder(folder)

    def half_written(self) -> list[str]:
        """Small files that a job which was killed was writing at that moment."""
        return [path for name in HALF_WRITTEN for path, _ in files.match(f"{self.bookkeeping}/{name}")]
