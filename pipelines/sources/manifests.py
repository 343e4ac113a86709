"""Manifests: tables of clips as JSON lines, CSV or TSV, also compressed; a unit is a range of rows.

How many rows a unit has depends on the manifest alone, so that the same manifest is the same plan, whatever
becomes of the audio: on the seconds that its rows name, else on `SECONDS_OF_A_RECORD`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from posixpath import normpath
from typing import Any

from melbeam.pipelines import words
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources import text_lines
from melbeam.pipelines.sources.column_types import ColumnTypes, with_one_type, with_types
from melbeam.pipelines.sources.columns import find_columns, note_of_times, row_of
from melbeam.pipelines.sources.kinds import MANIFEST
from melbeam.pipelines.sources.lhotse import refuse_parts_of_cuts
from melbeam.pipelines.sources.manifest_format import (
    PATH,
    Format,
    check_last_quote,
    find_format,
    is_common_voice,
    path_of_common_voice,
)
from melbeam.pipelines.sources.nested import lifted, names_in
from melbeam.pipelines.sources.repeated_ids import RepeatedIds
from melbeam.pipelines.sources.rows import UTF_8, BadRow, Row, as_id, as_on_disk, check_can_be_read, read_rows
from melbeam.pipelines.sources.text_lines import Lines, NotText, open_text, skip_to
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
from melbeam.transforms.folder_layout import folder_prefix
from melbeam.transforms.records.kept_rows import keep_row
from melbeam.transforms.records.schema import TEXT

# The names in this many rows are taken for those of all. Text of another encoding in a later row is a reject.
_LOOKED_AT = 100


class _Names:
    """The names of columns, and dotted ones of what lies in them, in the order in which they came."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.all = dict.fromkeys(names)
        self._seen: set[tuple[str, ...]] = set()

    def see(self, values: Mapping[str, Any]) -> None:
        """Takes a row into account, which most often has the names of an earlier one."""
        shape = tuple(values)
        if shape not in self._seen or any(isinstance(value, dict) for value in values.values()):
            self._seen.add(shape)
            self.all.update(dict.fromkeys(names_in(values)))


@dataclass(frozen=True)
class Table:
    """A manifest, understood.

    Attributes:
        path: of the file.
        format: of its rows.
        columns: ours to theirs.
        folder: that relative paths of audio are meant from, with a slash at its end, or "".
        root: what ids are relative to.
        digest: SHA-256, in hex, of the whole text.
        types: what columns of several types become, as `ColumnTypes.of_mixed` gives it.
    """

    path: str
    format: Format
    columns: Mapping[str, str]
    folder: str
    root: str
    digest: str = ""
    types: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The table as a unit's details hold it."""
        format = self.format
        return {
            "header": format.header and list(format.header),
            "delimiter": format.delimiter,
            "quoted": format.quoted,
            "encoding": format.encoding,
            "columns": dict(self.columns),
            "folder": self.folder,
            "root": self.root,
            "sha256": self.digest,
            # Few tables need these; all others leave them out, so that their plans stay what they were.
            **({"types": dict(self.types)} if self.types else {}),
            **({"skips_spaces": True} if format.skips_spaces else {}),
        }

    @classmethod
    def from_json(cls, path: str, details: Mapping[str, Any]) -> Table:
        """Inverse of `to_json`."""
        header = details["header"]
        format = Format(
            None if header is None else tuple(header),
            details["delimiter"],
            details["quoted"],
            details["encoding"],
            details.get("skips_spaces", False),
        )
        columns, folder, root = details["columns"], details["folder"], details["root"]
        return cls(path, format, columns, folder, root, details["sha256"], details.get("types", {}))

    def row(self, line: bytes, names: _Names | None = None) -> Row | BadRow:
        """A row, or why it is none; its columns' names are added to `names`."""
        values: dict[str, Any] = {}
        try:
            values = self.format.values(line, self.path)
            if names is not None:
                names.see(values)
            if self.columns["audio"] == PATH and is_common_voice(values):
                values[PATH] = path_of_common_voice(values[PATH])
            values = lifted(values, self.columns.values())
            row = row_of(values, self.columns, folder=self.folder, root=self.root)
            if self.types:
                row = replace(row, columns=with_one_type(row.columns, self.types))
            encoding = self.format.encoding
            return row if encoding == UTF_8 else replace(row, encoding=encoding)
        except ValueError as error:
            kept = {"kind": MANIFEST, "path": self.path, "line": line.decode("latin-1"), "details": self.to_json()}
            given = as_id(values.get(self.columns["id"])) if "id" in self.columns else None
            return BadRow(f"{error}: {line[:80]!r}", keep_row(kept, {}, {}), given)


def plan(found: Found, options: SourceOptions) -> Planned:
    """Ranges of rows of about `shard_bytes` of audio.

    Raises:
        ValueError: a manifest has no column that names audio, or is not of the encoding.
    """
    text_lines.check_encoding(options.encoding_of_text)
    names: dict[str, _Names] = {}
    planned: Planned | None = None
    while planned is None:  # once more where rows behind the first ones change what the columns are taken for
        planned = _plan_with(found, options, names)
    return planned


def _plan_with(found: Found, options: SourceOptions, names: dict[str, _Names]) -> Planned | None:
    """The plan; None where later rows have names by which a table is to be understood otherwise.

    Args:
        found: the manifests.
        options: how they are taken.
        names: of each one's columns, as far as they are known; gets all of them.
    """
    types, ids, left_out = ColumnTypes(), RepeatedIds(), LeftOut()
    seen = _Seen(types, ids, set() if found.clips else None)
    root = found.root if options.root is None else options.root
    units, is_understood, nameless = [], True, []
    for path, size in found.paths:
        format, start = find_format(path, options.encoding_of_text)
        known = names.setdefault(path, _Names(filter(None, format.header or ())))
        if "" in (format.header or ()):
            nameless.append(printable(path))
        table = _understand(path, format, start, options, root, known)
        units += _plan_table(table, start, size, options, seen, known)
        if find_columns(known.all, options.columns, printable(path)) != table.columns:
            is_understood = False
        left_out.notes += note_of_times(known.all, table.columns, printable(path))
    if not is_understood:
        return None
    where = printable(found.paths[0][0] if len(found.paths) == 1 else found.pattern)
    todo = "--columns=id=COLUMN names a column that tells them apart"
    left_out.notes += [*types.note(where), *ids.note(where, todo)]
    if nameless:
        named = words.named(nameless[:1], len(nameless))
        left_out.notes.append(f"a column without a name is not read, in {named}: its header names what is")
    for path in found.clips:
        if seen.audio is not None and normpath(path) not in seen.audio:
            left_out.add("audio file that no row names", path)
    return Planned(with_types(units, types.of_mixed()), left_out)


@dataclass(frozen=True)
class _Seen:
    """Collects what is asked of the rows of all manifests together.

    Attributes:
        types: of their columns.
        ids: of them.
        audio: paths of their audio; None where nobody asks for them.
    """

    types: ColumnTypes
    ids: RepeatedIds
    audio: set[str] | None

    def see(self, row: Row) -> None:
        """Takes a row into account."""
        self.types.see(row.columns)
        self.ids.see(row.id)
        if self.audio is not None:
            self.audio.add(normpath(as_on_disk(row.audio, row.encoding)))


def _plan_table(
    table: Table, start: int, size: int, options: SourceOptions, seen: _Seen, names: _Names
) -> list[Unit]:
    path, format = table.path, table.format
    starts: list[int] = []
    weights: list[int] = []
    with open_text(path) as file:
        lines = Lines(file)
        skip_to(lines, start)
        last, is_first = b"", True
        for offset, line in format.rows(lines):
            starts.append(offset)
            row = table.row(line, names)
            weights.append(round(_seconds_of(row) * BYTES_A_SECOND))
            last = line
            if isinstance(row, Row):
                seen.see(row)
                if is_first:
                    check_can_be_read(row.audio, printable(path))
                    is_first = False
        check_last_quote(path, format, last, len(starts))
        end, digest = lines.offset, lines.digest.hexdigest()
    table = replace(table, digest=digest)
    found = runs(weights, options)
    starts.append(end)
    return units_of_lines(path, size, MANIFEST, found, starts, [table.to_json()] * len(found))


def _seconds_of(row: Row | BadRow) -> float:
    """How long a row's audio lasts, as far as the row says; else `SECONDS_OF_A_RECORD`."""
    if isinstance(row, BadRow):
        return SECONDS_OF_A_RECORD
    if row.start is not None and row.end is not None:
        return row.end - row.start
    return row.seconds or SECONDS_OF_A_RECORD


def _understand(path: str, format: Format, start: int, options: SourceOptions, root: str, names: _Names) -> Table:
    """Finds the columns, of JSON lines by the names in the first rows and those that are known already.

    Raises:
        ValueError: none names audio; or the text is not of the encoding.
    """
    first_error: ValueError | None = None
    lists: list[str] = []  # columns that hold lists of objects
    with open_text(path) as file:
        lines = Lines(file)
        skip_to(lines, start)
        for number, (_, line) in enumerate(format.rows(lines)):
            # What was asked for may be in later rows alone.
            if number >= _LOOKED_AT and (format.header or names.all.keys() >= {*options.columns.values()}):
                break
            try:
                values = format.values(line, path)
                names.see(values)
                lists += [name for name, value in values.items() if _is_list_of_objects(value)]
            except ValueError as error:
                if number < _LOOKED_AT and isinstance(error, NotText):
                    raise
                first_error = first_error or error  # the row is a reject of its own
    if not names.all and first_error is not None:
        raise ValueError(
            f"{printable(path)}: no row is a JSON object ({first_error}): write one object a line (jq -c .); if "
            "the whole file is one object, with its clips in a list, write that list's (jq -c '.NAME[]')"
        )
    try:
        columns = find_columns(names.all, options.columns, printable(path))
    except UsageError:
        refuse_parts_of_cuts(names.all, printable(path))
        if lists:
            raise UsageError(
                Refusal.BAD_COLUMNS,
                f"{printable(path)} has no column that names audio; its clips may lie in its list {lists[0]!r}, "
                f"and a manifest has one object a line: jq -c '.{lists[0]}[]'",
            ) from None
        raise
    return Table(path, format, columns, folder_prefix(path), root)


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def has_texts(path: str, options: SourceOptions) -> bool:
    """Whether a file is a manifest whose rows name clips and what is said in them."""
    try:
        format, start = find_format(path, options.encoding_of_text)
        columns = _understand(
            path, format, start, replace(options, columns={}), "", _Names(filter(None, format.header or ()))
        ).columns
    except (ValueError, OSError):
        return False
    return TEXT in columns


def read(unit: Unit, max_record_bytes: int) -> Iterator[Item]:
    """The clips of the rows, in order."""
    table = Table.from_json(unit.path, unit.details)

    def rows() -> Iterator[Row | BadRow]:
        with open_text(unit.path) as file:
            file.seek(unit.span.start)
            lines = Lines(file, unit.span.start, unit.span.end)
            for _, line in table.format.rows(lines):
                yield table.row(line)

    yield from read_rows(rows(), unit, max_record_bytes)


def read_again(row: Mapping[str, Any], unit: Unit, max_record_bytes: int) -> Iterator[Item]:
    """A row that could not be read before."""
    table = Table.from_json(row["path"], row["details"])
    yield from read_rows([table.row(row["line"].encode("latin-1"))], unit, max_record_bytes)
