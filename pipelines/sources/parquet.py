"""Parquet files as hubs store audio; the row groups of a large file are several units.

The audio is a struct of bytes and path, bytes alone, samples with a rate (in a struct, or in a column beside
them), or a path. pyarrow, which reads them, comes with Beam.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from melbeam.pipelines import files
from melbeam.pipelines.sources.columns import find_columns, passed_through, row_of
from melbeam.pipelines.sources.kinds import PARQUET
from melbeam.pipelines.sources.rows import BadRow, Row, read_rows
from melbeam.pipelines.sources.text_lines import RawFile
from melbeam.pipelines.sources.units import (
    AudioRecord,
    Damage,
    Found,
    Item,
    Planned,
    SourceOptions,
    Unit,
    printable,
    runs,
)
from melbeam.pipelines.tfrecord import Span
from melbeam.transforms.folder_layout import parent
from melbeam.transforms.records.examples import Values, to_example
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.rows import keep_row

_ROWS_AT_ONCE = 16
_READ_ERRORS = (OSError, pa.ArrowException, ValueError)


def plan(found: Found, options: SourceOptions) -> Planned:
    """A unit for each file, or several for a large one with several row groups.

    Raises:
        ValueError: a file is no Parquet, or no column of it is audio.
    """
    return Planned([unit for path, size in found.paths for unit in _plan_file(path, size, options)])


def _plan_file(path: str, size: int, options: SourceOptions) -> list[Unit]:
    with files.open_file(path) as file:
        try:
            opened = pq.ParquetFile(RawFile(file))
        except _READ_ERRORS as error:
            raise ValueError(f"{printable(path)} is no whole Parquet file: {error}") from error
        metadata, schema = opened.metadata, opened.schema_arrow
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        sizes, rows = [group.total_byte_size for group in groups], [group.num_rows for group in groups]
    columns = _find_columns(schema, options.columns, printable(path))
    if options.shard_bytes is None or size <= options.shard_bytes or not groups:
        cut = [(0, len(groups))]
    else:
        cut = runs(sizes, options)
    folder = f"{parent(path)}/" if "/" in path else ""
    root = folder if options.root is None else options.root
    return [
        Unit(
            path,
            size,
            part,
            len(cut),
            kind=PARQUET,
            span=Span(number=sum(rows[:first])),
            num_records=sum(rows[first:last]),
            details={"groups": [first, last], "columns": columns, "folder": folder, "root": root},
        )
        for part, (first, last) in enumerate(cut)
    ]


def _find_columns(schema: Any, asked: Mapping[str, str], where: str) -> dict[str, str]:
    """Ours to theirs; a struct that has bytes is audio, whatever its name."""
    names = list(schema.names)
    if "audio" not in asked and "audio" not in names:
        structs = [field.name for field in schema if pa.types.is_struct(field.type) and _holds_audio(field.type)]
        if len(structs) == 1:
            asked = {**asked, "audio": structs[0]}
    columns = find_columns(names, asked, where)
    kind = schema.field(columns["audio"]).type
    if _is_path(kind):
        return columns
    # What holds its audio is whole: its times are columns like any other.
    return {ours: theirs for ours, theirs in columns.items() if ours not in ("start", "end") or ours in asked}


def _holds_audio(kind: Any) -> bool:
    names = {kind.field(i).name for i in range(kind.num_fields)}
    return bool(names & {"bytes", "array"})


def _is_path(kind: Any) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def read(unit: Unit, max_record_bytes: int) -> Iterator[Item]:
    """The rows, in order; a row group that cannot be read is one damage."""
    number = unit.span.number
    with files.open_file(unit.path) as file:
        opened = pq.ParquetFile(RawFile(file), page_checksum_verification=True)
        for group in range(*unit.details["groups"]):
            num_rows, read_rows_of_group = opened.metadata.row_group(group).num_rows, 0
            try:
                for batch in opened.iter_batches(_ROWS_AT_ONCE, row_groups=[group]):
                    for values in batch.to_pylist():
                        yield _item(values, unit, number, max_record_bytes)
                        number += 1
                        read_rows_of_group += 1
            except (OSError, pa.ArrowException) as error:
                lost = num_rows - read_rows_of_group
                why = " ".join(str(error).split())[:200]
                detail = f"{lost} of the {num_rows} rows of row group {group} cannot be read: {why}"
                kept = {"kind": PARQUET, "unit": unit.path, "group": group, "detail": detail}
                yield Damage(number, unit.place(number), Reject("bad_row", detail), keep_row(kept, {}, {}))
                number += 1


def _item(values: dict[str, Any], unit: Unit, number: int, max_record_bytes: int) -> Item:
    columns, place = unit.details["columns"], unit.place(number)
    audio = values[columns["audio"]]
    path = audio.get("path") if isinstance(audio, dict) else audio
    if isinstance(path, str) and not (isinstance(audio, dict) and _has_samples(audio)):
        at_its_place = Unit(unit.path, 0, kind=PARQUET, span=Span(number=number))
        return next(read_rows([_row(values, unit)], at_its_place, max_record_bytes))
    fields: dict[str, Values] = {}
    try:
        fields = passed_through(values, columns)
        given = values.get(columns["id"]) if "id" in columns else None
        if given is not None and given != "":
            fields["id"] = str(given)
        if audio is None:
            raise Reject("no_audio", f"no audio in column {columns['audio']!r}")
        content = _content(audio, fields)
        if len(content) > max_record_bytes:
            raise Reject("over_limit", f"audio of {len(content)} bytes, above {max_record_bytes}")
        if isinstance(content, bytes):
            return AudioRecord(number, place, to_example(fields, None, ("audio", memoryview(content))))
        return AudioRecord(number, place, to_example({**fields, "audio": content}))
    except Reject as reject:
        others = {name: value for name, value in values.items() if name != columns["audio"]}
        kept = passed_through(others, columns)
        if "id" in fields:
            reject.record_id = kept["id"] = str(fields["id"])
        return Damage(number, place, reject, to_example(kept))


def _has_samples(audio: Mapping[str, Any]) -> bool:
    return audio.get("bytes") is not None or audio.get("array") is not None


def _content(audio: Any, fields: dict[str, Values]) -> bytes | np.ndarray:
    """The audio's bytes, or its samples; the rate that stands beside them becomes a field.

    Raises:
        Reject: it is neither.
    """
    if isinstance(audio, dict):
        rate = audio.get("sampling_rate")
        if audio.get("bytes") is not None:
            return audio["bytes"]
        audio = audio.get("array")
        if rate is not None:
            fields["sampling_rate"] = int(rate)
    if isinstance(audio, bytes):
        return audio
    if isinstance(audio, list) and audio and all(isinstance(value, int) for value in audio):
        return np.asarray(audio, np.int64)
    if isinstance(audio, list):
        try:
            return np.asarray(audio, np.float32)
        except (TypeError, ValueError) as error:
            raise Reject("bad_field", "audio must be samples of one channel") from error
    raise Reject("no_audio", f"audio must be bytes, samples or a path, got {type(audio).__name__}")


def _row(values: dict[str, Any], unit: Unit) -> Row | BadRow:
    details = unit.details
    try:
        return row_of(values, details["columns"], folder=details["folder"], root=details["root"])
    except ValueError as error:
        kept = {"kind": PARQUET, "unit": unit.path, "detail": str(error)}
        return BadRow(str(error), keep_row(kept, passed_through(values, details["columns"]), {}))


def row_again(row: Mapping[str, Any]) -> Row | BadRow:
    """A row or a row group that could not be read before; the file itself has to be mended."""
    detail = f"{row['detail']}: copy {printable(row['unit'])} again from its source, and extract it"
    return BadRow(detail, keep_row(row, {}, {}))
