"""The vocabulary of every source: units, each of which becomes one output shard, and the items that a unit yields.

A unit is planned by the launcher, kept as one JSON line, and read by a worker that knows nothing but this line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from melbeam.pipelines import words
from melbeam.pipelines.defaults import ENCODING_OF_TEXT, SHARD_BYTES
from melbeam.pipelines.sources.kinds import AUDIO, KINDS, TFRECORD
from melbeam.pipelines.tfrecord import WHOLE, Span
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.segments import with_segments

# What a record of a table counts for where shards are cut, since its audio is not looked at.
BYTES_A_SECOND = 32_000  # of 16-bit samples at 16 kHz
SECONDS_OF_A_RECORD = 10.0  # where the table does not tell
_UNDECODABLE = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Unit:
    """A run of a source's records, that becomes one output shard.

    Attributes:
        path: the file or folder that the records' names begin with.
        size: bytes of the whole of which this is a part.
        part: which part of it.
        num_parts: of the whole.
        kind: of its source, one of `KINDS`.
        span: the first record's number, and for files that are read from their middle the bytes.
        num_records: where they are known without reading; else None.
        details: what else its source wants to know, as JSON; its names and types are the source's own.
    """

    path: str
    size: int
    part: int = 0
    num_parts: int = 1
    kind: str = TFRECORD
    span: Span = WHOLE
    num_records: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """Which file it is, and which part of it, in words for people."""
        path = printable(self.path)
        return path if self.num_parts == 1 else f"part {self.part + 1} of {self.num_parts} of {path}"

    @property
    def files(self) -> list[str]:
        """The files that it is made of, each a record; none where it is one file of many records."""
        return [path for path, _ in self.details["files"]] if self.kind == AUDIO else []

    @property
    def num_bytes(self) -> int:
        """Its share of the whole, about; a part begins and ends with a record."""
        return self.size * (self.part + 1) // self.num_parts - self.size * self.part // self.num_parts

    def place(self, number: int) -> str:
        """Where a record lies, as its features and its reject name it."""
        return f"{printable(self.path)}#{number}"

    @staticmethod
    def parse_place(place: str) -> tuple[str, int] | None:
        """The printable path of a unit and the number of the record in a `place`; None where it is no place."""
        path, _, number = place.rpartition("#")
        return (path, int(number)) if number.isdigit() else None

    def to_json(self) -> list[Any] | dict[str, Any]:
        """The unit as JSON; TFRecord files without details as a list, as they have been from the beginning."""
        if self.kind == TFRECORD and not self.details:
            part = [self.part, self.num_parts] if self.num_parts > 1 else []
            return [self.path, self.size, None, *part]
        span = self.span
        return {
            "kind": self.kind,
            "path": self.path,
            "size": self.size,
            "part": [self.part, self.num_parts],
            "span": [span.start, span.end, span.number],
            "num_records": self.num_records,
            "details": dict(self.details),
        }

    @classmethod
    def from_json(cls, value: Any) -> Unit:
        """Inverse of `to_json`."""
        if isinstance(value, list):
            path, size, _, *part = value
            return cls(path, size, *part)
        part, num_parts = value["part"]
        return cls(
            value["path"],
            value["size"],
            part,
            num_parts,
            kind=value["kind"],
            span=Span(*value["span"]),
            num_records=value["num_records"],
            details=value["details"],
        )


@dataclass(frozen=True, slots=True)
class AudioRecord:
    """A record that could be read.

    Attributes:
        number: counts over everything that the source yields, damages too.
        place: where it lies: `Unit.place` of its number.
        data: a serialized tf.train.Example, as `melbeam extract` takes it.
        seconds: that the source says its audio lasts, to be compared; None where it says nothing.
        segments: what is said when in it, as `records.segments` encodes it; empty where the source does not say.
    """

    number: int
    place: str
    data: bytes
    seconds: float | None = None
    segments: str = ""

    @property
    def whole(self) -> AudioRecord:
        """The record with what is said when in its data, as jobs take it."""
        return replace(self, data=with_segments(self.data, self.segments), segments="") if self.segments else self


@dataclass(frozen=True, slots=True)
class Damage:
    """A record, or what stands in its place, that cannot be read.

    Attributes:
        number: counts over everything that the source yields, records too.
        place: where it lies: `Unit.place` of its number.
        reject: why it cannot be read.
        data: what was read of it: its bytes, or its row, kept so that `retry-rejects` reads it again.
        damaged_bytes: of the input, that belong to no record.
    """

    number: int
    place: str
    reject: Reject
    data: bytes
    damaged_bytes: int = 0


Item = AudioRecord | Damage


@dataclass(frozen=True)
class SourceOptions:
    """How an input is to be taken.

    Attributes:
        input_format: one of `KINDS`, or None to find it.
        columns: our name to theirs; adds to what a source finds by itself.
        root: what ids of files are relative to; None for the source's own choice.
        shard_bytes: of a unit, about; None keeps files whole.
        num_shards: units to make, where a source can cut anywhere; None goes by `shard_bytes`.
        encoding_of_text: of manifests and transcripts.
        limit: records to plan at most, where a source knows them before it reads; None for all.
        pcm_sampling_rate: Hz of samples that are no file, where a source needs it and the records do not say it.
        own: the splits that the job makes of it, whose files are no input where they lie in the input's folder.
    """

    input_format: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    root: str | None = None
    shard_bytes: int | None = SHARD_BYTES
    num_shards: int | None = None
    encoding_of_text: str = ENCODING_OF_TEXT
    limit: int | None = None
    pcm_sampling_rate: int | None = None
    own: Sequence[SplitFolder] = ()

    def __post_init__(self) -> None:
        if self.input_format is not None and self.input_format not in KINDS:
            raise ValueError(f"--input_format must be one of {', '.join(KINDS)}, got {self.input_format!r}")


@dataclass
class LeftOut:
    """Files of the input that are no part of it, by kind: how many, and the first names.

    Attributes:
        counts: of the files of each kind.
        names: of the first of them.
        notes: what else a person should know of the input.
    """

    counts: dict[str, int] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, kind: str, path: str) -> None:
        """Counts a file."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] <= _NAMED:
            self.names.setdefault(kind, []).append(printable(path))

    def add_all(self, other: LeftOut) -> None:
        """Counts those of another part of the input."""
        for kind, count in other.counts.items():
            names = self.names.setdefault(kind, [])
            names += other.names[kind][: _NAMED - len(names)]
            self.counts[kind] = self.counts.get(kind, 0) + count
        self.notes += other.notes

    def in_words(self) -> list[str]:
        """The notes, and a line for each kind."""
        lines = list(self.notes)
        for kind, count in sorted(self.counts.items()):
            lines.append(f"left out: {count} {_plural(kind, count)}: {words.named(self.names[kind], count)}")
        return lines


_NAMED = 3  # files of each kind
_PLURALS = {
    "file": "files",
    "name)": "names)",
    "link that leads": "links that lead",
    "link to a folder, which is": "links to folders, which are",
    "pipe, socket or device": "pipes, sockets or devices",
}


def _plural(kind: str, count: int) -> str:
    """Puts a kind of files into the plural; its noun need not be its last word."""
    if count == 1:
        return kind
    for one, many in _PLURALS.items():
        kind = kind.replace(one, many)
    return kind


class Source(Protocol):
    """One kind of source; each is a module of this package."""

    def plan(self, found: Found, options: SourceOptions) -> Planned:
        """The units of some input.

        Raises:
            ValueError: it cannot be taken; the message says why and what to do.
        """
        ...

    def read(self, unit: Unit, max_record_bytes: int) -> Iterator[Item]:
        """Everything in a unit, in order.

        Raises:
            OSError: what cannot be read is no single record of it.
        """
        ...

    def read_again(self, row: Mapping[str, Any], unit: Unit, max_record_bytes: int) -> Iterator[Item]:
        """What a row gives now that a reject kept; kinds whose rejects keep no rows do not have this."""
        ...


@dataclass(frozen=True)
class Found:
    """What one --input names.

    Attributes:
        pattern: as it was given.
        root: what its files lie below, with a slash at its end, or "".
        paths: the files and their sizes, sorted by path.
        no_files: what lies among them and is no file, and what it is, as `files.not_matched` says it.
        clips: audio files in the folder of manifests, which should name them.
    """

    pattern: str
    root: str
    paths: list[tuple[str, int]]
    no_files: list[tuple[str, str]] = field(default_factory=list)
    clips: list[str] = field(default_factory=list)


@dataclass
class Planned:
    """The units of some input, and the files that are none of it."""

    units: list[Unit]
    left_out: LeftOut = field(default_factory=LeftOut)


def printable(path: str) -> str:
    """A path as text: bytes of its name that are not UTF-8 are percent-encoded."""
    return _UNDECODABLE.sub(lambda found: f"%{ord(found[0]) - 0xDC00:02X}", path)


def runs(sizes: Iterable[int], options: SourceOptions) -> list[tuple[int, int]]:
    """Cuts a sequence into runs: first and end of each.

    Args:
        sizes: of the sequence's items, in bytes.
        options: `num_shards` runs of about the same number of items, at most one an item; or runs of at most
            `shard_bytes`, but for an item that is larger by itself; or one run of all.
    """
    items = list(sizes)
    if options.num_shards is not None:
        count = min(options.num_shards, len(items))
        # Item i belongs to run i * count // len(items).
        starts = [-(-run * len(items) // count) for run in range(count)]
    else:
        starts, in_run = [0], 0
        for index, size in enumerate(items):
            if options.shard_bytes is not None and in_run and in_run + size > options.shard_bytes:
                starts.append(index)
                in_run = 0
            in_run += size
    return list(zip(starts, [*starts[1:], len(items)], strict=True)) if items else []


def units_of_lines(
    path: str,
    size: int,
    kind: str,
    cut: Sequence[tuple[int, int]],
    offsets: Sequence[int],
    details: Sequence[Mapping[str, Any]],
) -> list[Unit]:
    """The units of a table that has one record a line.

    Args:
        path: the file or folder that the records' names begin with.
        size: bytes of the table.
        kind: of its source.
        cut: first line and end of each unit, as `runs` gives them.
        offsets: byte of each line, and of the end of the last.
        details: of each unit.
    """
    return [
        Unit(
            path,
            size,
            part,
            len(cut),
            kind=kind,
            span=Span(offsets[first], offsets[last], first),
            num_records=last - first,
            details=details[part],
        )
        for part, (first, last) in enumerate(cut)
    ]
