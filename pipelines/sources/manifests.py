"""Manifests: tables of clips as JSON lines, CSV or TSV, also compressed; a unit is a range of rows.

How many rows a unit has depends on the manifest alone, so that the same manifest is the same plan, whatever
becomes of the audio: on the seconds that its rows name, else on `SECONDS_OF_A_RECORD`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from melbeam.pipelines.sources import text_lines
from melbeam.pipelines.sources.columns import find_columns, row_of
from melbeam.pipelines.sources.endings import ENDINGS, MEDIA_ENDINGS
from melbeam.pipelines.sources.kinds import MANIFEST
from melbeam.pipelines.sources.rows import BadRow, Row, check_can_be_read, read_rows
from melbeam.pipelines.sources.text_lines import Lines, NotText, open_text
from melbeam.pipelines.sources.units import (
    BYTES_A_SECOND,
    SECONDS_OF_A_RECORD,
    Found,
    Item,
    Planned,
    SourceOptions,
    Unit,
    printable,
    runs,
    units_of_lines,
)
from melbeam.transforms.folder_layout import parent
from melbeam.transforms.records.rows import keep_row

_LOOKED_AT = 100  # rows of JSON lines whose names are taken for the manifest's
_DELIMITERS = (",", "\t", ";", "|")
csv.field_size_limit(1 << 30)  # a transcript may be long


@dataclass(frozen=True)
class Format:
    """How a manifest's bytes are rows.

    Attributes:
        header: the names of the columns; None for JSON lines, where each row has its own.
        delimiter: between columns.
        quoted: whether quotes may enclose a column; Common Voice's are literal.
        encoding: of the text.
    """

    header: tuple[str, ...] | None
    delimiter: str = ""
    quoted: bool = True
    encoding: str = "utf-8"

    def rows(self, lines: Lines) -> Iterator[tuple[int, bytes]]:
        """Offset and bytes of each row; a quoted line feed is inside its row."""
        if self.header is None or not self.quoted:
            yield from ((offset, line) for offset, line in lines.with_offsets() if line.strip())
            return
        taken: list[bytes] = []

        def texts() -> Iterator[str]:
            for line in lines:
                taken.append(line)
                yield line.decode("latin-1")  # byte for byte: where rows end is the same in every encoding

        start = lines.offset
        reader = csv.reader(texts(), delimiter=self.delimiter)
        while True:
            try:
                is_row = bool(next(reader))
            except StopIteration:
                return
            except csv.Error:  # `values` says what it is
                is_row = True
            if is_row:
                yield start, b"".join(taken)
            taken.clear()
            start = lines.offset

    def values(self, row: bytes, path: str) -> dict[str, Any]:
        """A row's columns by name.

        Raises:
            ValueError: it is no row of this manifest; the message says why.
        """
        text = text_lines.decode(row, path, self.encoding)
        if self.header is None:
            try:
                values = json.loads(text)
            except ValueError as error:
                raise ValueError(f"no JSON: {error}") from error
            if not isinstance(values, dict):
                raise ValueError(f"a JSON {type(values).__name__}, not an object")
            return values
        fields = self._fields(text)
        if len(fields) != len(self.header):
            raise ValueError(f"{len(fields)} columns, the header has {len(self.header)}")
        return dict(zip(self.header, fields, strict=True))

    def _fields(self, text: str) -> list[str]:
        if not self.quoted:
            return text.rstrip("\r\n").split(self.delimiter)
        try:
            return next(csv.reader(_lines_of(text), delimiter=self.delimiter, strict=True), [])
        except csv.Error as error:
            raise ValueError(f"{error}: a quote inside a quoted column is doubled") from error


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
    """

    path: str
    format: Format
    columns: Mapping[str, str]
    folder: str
    root: str
    digest: str = ""

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
        )
        return cls(path, format, details["columns"], details["folder"], details["root"], details["sha256"])

    def row(self, line: bytes) -> Row | BadRow:
        """A row, or why it is none."""
        try:
            values = self.format.values(line, self.path)
            return row_of(values, self.columns, folder=self.folder, root=self.root)
        except ValueError as error:
            kept = {"kind": MANIFEST, "path": self.path, "line": line.decode("latin-1"), "details": self.to_json()}
            return BadRow(f"{error}: {line[:80]!r}", keep_row(kept, {}, {}))


def _lines_of(text: str) -> Iterator[str]:
    """The lines as `csv` wants them; `str.splitlines` would end some in the middle of a text, at U+2028."""
    return iter(io.StringIO(text, newline="\n"))


def plan(found: Found, options: SourceOptions) -> Planned:
    """Ranges of rows of about `shard_bytes` of audio.

    Raises:
        ValueError: a manifest has no column that names audio, or is not of the encoding.
    """
    text_lines.check_encoding(options.encoding_of_text)
    return Planned([unit for path, size in found.paths for unit in _plan_table(path, size, options)])


def _plan_table(path: str, size: int, options: SourceOptions) -> list[Unit]:
    format, start = _find_format(path, options.encoding_of_text)
    table = _understand(path, format, start, options)
    starts: list[int] = []
    weights: list[int] = []
    with open_text(path) as file:
        lines = Lines(file)
        _skip_to(lines, start)
        last, is_first = b"", True
        for offset, line in format.rows(lines):
            starts.append(offset)
            row = table.row(line)
            weights.append(round(_seconds_of(row) * BYTES_A_SECOND))
            last = line
            if is_first and isinstance(row, Row):
                check_can_be_read(row.audio, printable(path))
                is_first = False
        _check_last_quote(path, format, last, len(starts))
        end, digest = lines.offset, lines.digest.hexdigest()
    table = Table(path, format, table.columns, table.folder, table.root, digest)
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


def _skip_to(lines: Lines, offset: int) -> None:
    while lines.offset < offset and next(lines, None) is not None:
        pass


def _check_last_quote(path: str, format: Format, last: bytes, num_rows: int) -> None:
    """Refuses a quote that is never closed: it takes all rows behind it into one.

    Raises:
        ValueError: with the row.
    """
    if format.header is None or not format.quoted or not last:
        return
    text = list(_lines_of(last.decode("latin-1")))
    try:
        list(csv.reader(text, delimiter=format.delimiter, strict=True))
    except csv.Error as error:
        if "end of data" in str(error):
            raise ValueError(
                f"{printable(path)}: a quote in row {num_rows} is never closed, and takes the {len(text)} lines "
                f"up to the end of the file: {last[:60]!r}"
            ) from error


def _find_format(path: str, encoding: str) -> tuple[Format, int]:
    """The format, and where the first row begins.

    Raises:
        ValueError: it is empty, of another encoding, or one JSON value.
    """
    if text_lines.looks_wide(path):
        raise ValueError(f"{printable(path)} is UTF-16: convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8)")
    with open_text(path) as file:
        lines = Lines(file)
        head = next((line for line in lines if line.strip()), b"")
        if not head:
            raise ValueError(f"{printable(path)} is empty: a manifest has a row a clip")
        if head.lstrip()[:1] == b"{":
            return Format(None, encoding=encoding), 0
        if head.lstrip()[:1] == b"[":
            raise ValueError(f"{printable(path)} is one JSON list: write one object a line (jq -c '.[]')")
        text = text_lines.decode(head, path, encoding).rstrip("\r\n")
        if "\r" in text:
            raise ValueError(
                f"{printable(path)} ends its lines with a carriage return alone, as old Macs did: convert it "
                "first (tr '\\r' '\\n')"
            )
        delimiter = max(_DELIMITERS, key=text.count)
        header = tuple(next(csv.reader([text], delimiter=delimiter)))
        start = lines.offset
    _check_header(path, header)
    quoted = not _is_common_voice(header) and (delimiter != "\t" or _quotes_enclose(path, start))
    return Format(header, delimiter, quoted, encoding), start


def _check_header(path: str, header: tuple[str, ...]) -> None:
    """Refuses a first row that names two columns alike, or is a row like any other.

    Raises:
        ValueError: with what to do.
    """
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{printable(path)} has two columns {twice!r}: rename one of them")
    clip = next((name for name in header if name.lower().endswith((*ENDINGS, *MEDIA_ENDINGS))), None)
    if clip is not None:
        raise ValueError(
            f"{printable(path)} has no header: its first row, which must name the columns (audio, text, ...), "
            f"holds {clip!r}"
        )


def _quotes_enclose(path: str, start: int) -> bool:
    """Whether all quotes of a TSV enclose columns; if one does not, as in `"Yes," he said`, all are literal."""
    with open_text(path) as file:
        lines = Lines(file)
        _skip_to(lines, start)
        try:
            for _ in csv.reader((line.decode("latin-1") for line in lines), delimiter="\t", strict=True):
                pass
        except csv.Error:
            return False
    return True


def _is_common_voice(names: tuple[str, ...]) -> bool:
    return {"client_id", "path"} <= set(names)


def _understand(path: str, format: Format, start: int, options: SourceOptions) -> Table:
    """Finds the columns.

    Raises:
        ValueError: none names audio; or the text is not of the encoding.
    """
    names = list(format.header or ())
    first_error: ValueError | None = None
    with open_text(path) as file:
        lines = Lines(file)
        _skip_to(lines, start)
        for number, (_, line) in enumerate(format.rows(lines)):
            if number == _LOOKED_AT:
                break
            try:
                names += format.values(line, path)
            except NotText:
                raise
            except ValueError as error:
                first_error = first_error or error  # the row is a reject of its own
    if not names and first_error is not None:
        raise ValueError(
            f"{printable(path)}: no row is a JSON object ({first_error}): write one object a line (jq -c .)"
        )
    columns = find_columns(names, options.columns, printable(path))
    folder = f"{parent(path)}/" if "/" in path else ""
    root = folder if options.root is None else options.root
    if _is_common_voice(tuple(names)) and columns["audio"] == "path":
        folder += "clips/"
    return Table(path, format, columns, folder, root)


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
