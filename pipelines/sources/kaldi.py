"""Kaldi's data folders: `wav.scp`, and where they are there `segments`, `text` and `utt2spk`.

A unit is a range of utterances. The launcher notes where in each of the tables the unit's lines lie, which in
Kaldi are sorted alike, so that a worker reads no more than that of each.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from glob import escape
from typing import Any

from melbeam.pipelines import files, words
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources import text_lines
from melbeam.pipelines.sources.columns import renamed
from melbeam.pipelines.sources.kinds import KALDI
from melbeam.pipelines.sources.repeated_ids import RepeatedIds
from melbeam.pipelines.sources.rows import (
    BadRow,
    Row,
    check_can_be_read,
    folder_of_relative,
    path_in,
    read_rows,
)
from melbeam.pipelines.sources.text_lines import Lines, open_text
from melbeam.pipelines.sources.units import (
    BYTES_A_SECOND,
    SECONDS_OF_A_RECORD,
    Found,
    Item,
    LeftOut,
    Planned,
    SourceOptions,
    Unit,
    printable,
    runs,
    units_of_lines,
)
from melbeam.transforms.folder_layout import file_name, folder_of
from melbeam.transforms.records.kept_rows import keep_row
from melbeam.transforms.records.schema import TEXT
from melbeam.transforms.records.values import as_seconds

WAV_SCP = "wav.scp"
_SEGMENTS = "segments"
_NAMED = 3  # names
# A name of these tables may stand in no other one; then what its line says is lost.
_WHOSE = {WAV_SCP: "a recording that no segment is of", "text": "an utterance that has no audio here"}
_TO_THE_END = ("-1", "-1.0")
_BLANKS = re.compile(r"[ \t]+")
_IN_AN_ARCHIVE = re.compile(r"\.ark(\.gz)?:\d+$")
# The tables of utterances, and the column that each becomes.
_TABLES = {"text": TEXT, "utt2spk": "speaker", "utt2lang": "language"}
PARTS = (WAV_SCP, _SEGMENTS, *_TABLES, "spk2utt")  # the last says nothing that utt2spk does not


def plan(found: Found, options: SourceOptions) -> Planned:
    """Ranges of the utterances of each folder.

    Raises:
        ValueError: a recording is the output of a command, which is never run; or a table is not of its format.
    """
    text_lines.check_encoding(options.encoding_of_text)
    others = [path for path, _ in found.paths if file_name(path) != WAV_SCP]
    if others:  # the folder of one may have a wav.scp too, of other recordings than were asked for
        named = found.pattern if len(others) == len(found.paths) else others[0]
        raise UsageError(
            Refusal.BAD_SOURCE, f"--input={printable(named)} names no {WAV_SCP}, where Kaldi's recordings are"
        )
    folders = sorted({folder_of(path) for path, _ in found.paths})
    ids = RepeatedIds()
    notes: list[str] = []
    units = [unit for folder in folders for unit in _plan_folder(folder, options, ids, notes)]
    notes += ids.note(printable(found.pattern), "give each utterance a name of its own")
    return Planned(units, LeftOut(notes=notes))


def _plan_folder(folder: str, options: SourceOptions, ids: RepeatedIds, notes: list[str]) -> list[Unit]:
    encoding = options.encoding_of_text
    tables = [table for table in _TABLES if files.exists(f"{folder}/{table}")]
    columns = _columns(folder, tables, options)
    first = _check_recordings(f"{folder}/{WAV_SCP}", encoding)
    if first is not None:
        check_can_be_read(first, f"{printable(folder)}/{WAV_SCP}")
    base = folder_of_relative(first, f"{folder}/", encoding)
    has_segments = files.exists(f"{folder}/{_SEGMENTS}")
    main = _SEGMENTS if has_segments else WAV_SCP
    utterances: list[str] = []
    recordings: list[str] = []
    offsets: list[int] = []
    weights: list[int] = []
    end = 0
    for offset, line_end, name, rest in _lines(f"{folder}/{main}", encoding):
        end = line_end
        utterances.append(name)
        offsets.append(offset)
        seconds = SECONDS_OF_A_RECORD
        if has_segments:
            recording, *times = rest.split() or [""]
            recordings.append(recording)
            with suppress(ValueError):
                start, stop, _ = _segment(times)
                seconds = SECONDS_OF_A_RECORD if stop is None else stop - start
        weights.append(round(seconds * BYTES_A_SECOND))
    if not utterances:
        raise ValueError(f"{printable(folder)}/{main} is empty")
    offsets.append(end)
    cut = runs(weights, options)
    ranges: list[dict[str, list[int]]] = [{} for _ in cut]
    parts = _parts_of(utterances, cut)
    given = columns.get("id")
    names = _table(f"{folder}/{given}", encoding, parts) if given else {}
    for name in utterances:
        ids.see(names.get(name) or name)
    for table in tables:
        notes += _note_ranges(f"{folder}/{table}", encoding, parts, table, ranges)
    if has_segments:
        notes += _note_ranges(f"{folder}/{WAV_SCP}", encoding, _parts_of(recordings, cut), WAV_SCP, ranges)
    size = sum(size for path, size in files.match(f"{escape(folder)}/{main}"))
    details = [
        {"main": main, "ranges": of_part, "columns": columns, "encoding": encoding, "base": base}
        for of_part in ranges
    ]
    return units_of_lines(folder, size, KALDI, cut, offsets, details)


def _columns(folder: str, tables: Sequence[str], options: SourceOptions) -> dict[str, str]:
    """Ours to the names of Kaldi's tables that the folder has."""
    asked: dict[str, str] = {}
    known = (*_TABLES.values(), *_TABLES)
    for ours, theirs in options.columns.items():
        table = next((table for table, name in _TABLES.items() if theirs in (table, name)), None)
        if table is None:
            raise UsageError(
                Refusal.BAD_COLUMNS,
                f"--columns names {theirs!r}; a Kaldi folder, {printable(folder)}, has {', '.join(known)}",
            )
        if table not in tables:
            raise UsageError(
                Refusal.BAD_COLUMNS, f"--columns names {theirs!r}; there is no {table} in {printable(folder)}"
            )
        asked[ours] = _TABLES[table]
    return renamed({ours: table for table, ours in _TABLES.items() if table in tables}, asked)


def _lines(
    path: str, encoding: str, start: int = 0, end: int | None = None
) -> Iterator[tuple[int, int, str, str]]:
    """Where each line begins and ends, its first word and the rest."""
    with open_text(path) as file:
        file.seek(start)
        lines = Lines(file, start, end)
        for offset, line in lines.with_offsets():
            # A text keeps its own spaces and tabs, but for those around it.
            name, *rest = _BLANKS.split(text_lines.decode(line, path, encoding).strip(" \t\r\n"), maxsplit=1)
            if name:
                yield offset, lines.offset, name, rest[0] if rest else ""


def _check_recordings(path: str, encoding: str) -> str | None:
    """The first recording's path.

    Raises:
        ValueError: one of them is the output of a command, or lies in an archive of Kaldi's.
    """
    first = None
    for _, _, name, location in _lines(path, encoding):
        if location.endswith("|") or location.startswith("|"):
            raise ValueError(
                f"{printable(path)}: recording {name} is the output of a command, which melbeam does not run: "
                f"{location[:100]!r}: write the files first, and a {WAV_SCP} that names them"
            )
        if _IN_AN_ARCHIVE.search(location):
            raise ValueError(
                f"{printable(path)}: recording {name} lies in an archive of Kaldi's, which melbeam does not read: "
                f"{location[:100]!r}: write it as a file first (wav-copy)"
            )
        first = first or location
    return first


def _parts_of(names: Sequence[str], cut: Sequence[tuple[int, int]]) -> dict[str, set[int]]:
    """The units in which each name stands; an id that is given twice may stand in several."""
    parts: dict[str, set[int]] = {}
    for part, (first, last) in enumerate(cut):
        for name in names[first:last]:
            parts.setdefault(name, set()).add(part)
    return parts


def _note_ranges(
    path: str, encoding: str, parts_of: Mapping[str, set[int]], table: str, ranges: list[dict[str, list[int]]]
) -> list[str]:
    """Notes for each unit between which bytes of a table its lines lie.

    Returns:
        Lines for a person: of names that come again and say something else, of which the last counts, and of those
        that are nowhere else.
    """
    seen: dict[str, int] = {}
    again, strange = _Names(), _Names()
    for offset, end, name, rest in _lines(path, encoding):
        for part in parts_of.get(name, ()):
            start, stop = ranges[part].get(table, (offset, end))
            ranges[part][table] = [min(start, offset), max(stop, end)]
        if name not in parts_of:
            if table in _WHOSE:
                strange.add(name)
        elif seen.setdefault(name, hash(rest)) != hash(rest):
            again.add(name)
    return [
        *again.note(f"{printable(path)}:", "of a name that an earlier line has, which the later one replaces"),
        *strange.note(f"{printable(path)}:", f"of {_WHOSE.get(table)}"),
    ]


class _Names:
    """Names of a table's lines: how many, and the first."""

    def __init__(self) -> None:
        self._count = 0
        self._first: list[str] = []

    def add(self, name: str) -> None:
        self._count += 1
        if len(self._first) < _NAMED:
            self._first.append(name)

    def note(self, where: str, what: str) -> list[str]:
        """A line for a person; none where there are no names."""
        if not self._count:
            return []
        return [f"{where} {words.count(self._count, 'line')} {what}: {words.named(self._first, self._count)}"]


def _segment(fields: list[str]) -> tuple[float, float | None, int | None]:
    """Start, end and channel of a segment, from what follows its recording in a line of `segments`.

    As Kaldi has it, an end of -1 is the recording's own, which is None here, and so is the channel where none is
    named.

    Raises:
        ValueError: these are none.
    """
    if len(fields) < 2:
        raise ValueError("a line of segments must have an id, a recording, a start and an end")
    start = as_seconds(fields[0], _SEGMENTS) or 0.0
    end = None if fields[1] in _TO_THE_END else as_seconds(fields[1], _SEGMENTS)
    if end is not None and end <= start:
        raise ValueError(f"the segment ends at {fields[1]} s, not behind its start at {fields[0]} s")
    if len(fields) > 2 and not fields[2].isdigit():
        raise ValueError(f"a segment's channel must be a number, counted from 0, got {fields[2]!r}")
    return start, end, int(fields[2]) if len(fields) > 2 else None


def read(unit: Unit, max_record_bytes: int) -> Iterator[Item]:
    """The utterances, in order."""
    yield from read_rows(_rows(unit), unit, max_record_bytes)


def _rows(unit: Unit) -> Iterator[Row | BadRow]:
    details, folder = unit.details, unit.path
    main, ranges, encoding = details["main"], details["ranges"], details["encoding"]
    path = f"{folder}/{main}"
    lines = [(name, rest) for _, _, name, rest in _lines(path, encoding, unit.span.start, unit.span.end)]
    utterances = {name for name, _ in lines}
    columns = {
        ours: _table(f"{folder}/{table}", encoding, utterances, *ranges[table])
        for ours, table in details["columns"].items()
        if table in ranges
    }
    wanted = {rest.split()[0] for _, rest in lines if rest} if main == _SEGMENTS else set()
    locations = _table(f"{folder}/{WAV_SCP}", encoding, wanted, *ranges[WAV_SCP]) if WAV_SCP in ranges else {}
    for name, rest in lines:
        values = {ours: table[name].encode() for ours, table in columns.items() if name in table}
        try:
            row = _row(name, rest, locations, values) if main == _SEGMENTS else _whole(name, rest, values)
            given = values.get("id", b"").decode()
            yield replace(row, id=given or name, audio=path_in(details["base"], row.audio), encoding=encoding)
        except ValueError as error:
            kept = {"kind": KALDI, "path": folder, "name": name, "rest": rest, "main": main, "detail": str(error)}
            yield BadRow(f"{error}: {name} {rest}"[:300], keep_row(kept, {**values, "id": name}, {}), name)


def _whole(name: str, location: str, values: Mapping[str, bytes]) -> Row:
    if not location:
        raise ValueError("it names no file")
    return Row(location, name, columns=values)


def _row(name: str, rest: str, locations: Mapping[str, str], values: Mapping[str, bytes]) -> Row:
    recording, *times = rest.split() or [""]
    if recording not in locations:
        raise ValueError(f"its recording {recording!r} is not in {WAV_SCP}")
    start, end, channel = _segment(times)
    return Row(locations[recording], name, start, end, channel=channel, columns=values)


def _table(path: str, encoding: str, wanted: Container[str], *span: int) -> dict[str, str]:
    return {name: rest for _, _, name, rest in _lines(path, encoding, *span) if name in wanted}


def read_again(row: Mapping[str, Any], unit: Unit, max_record_bytes: int) -> Iterator[Item]:
    """A row that could not be read before, and still says nothing that could be read."""
    detail = f"{row['detail']}: {row['name']} {row['rest']}"[:300]
    yield from read_rows(
        [BadRow(detail, keep_row(row, {"id": row["name"]}, {}), row["name"])], unit, max_record_bytes
    )
