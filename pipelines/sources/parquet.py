"""Parquet files as hubs store audio; the row groups of a large file are several units.

The audio is a struct of bytes and path, bytes alone, samples with a rate (in a struct, or in a column beside
them), or a path; it may lie in a struct, as do `sample.audio` and `info.text`. pyarrow, which reads them, comes
with Beam.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count, islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from melbeam.pipelines import files
from melbeam.pipelines.sources.column_types import ColumnTypes, with_one_type, with_types
from melbeam.pipelines.sources.columns import as_number, passed_through, row_of, times_of
from melbeam.pipelines.sources.kinds import PARQUET
from melbeam.pipelines.sources.nested import lifted, path_of
from melbeam.pipelines.sources.parquet_schema import (
    check_names,
    columns_of,
    fields_of,
    other_audio,
    partition_of,
    see_types,
    unused_fields,
    with_columns,
)
from melbeam.pipelines.sources.renaming import OWN_FULL_SCALE
from melbeam.pipelines.sources.rows import OF_ONE_FILE, BadRow, Row, as_id, read_rows
from melbeam.pipelines.sources.segments import Recordings, frames_of
from melbeam.pipelines.sources.text_lines import RawFile
from melbeam.pipelines.sources.units import (
    AudioRecord,
    Damage,
    Found,
    Item,
    LeftOut,
    Planned,
    SourceOptions,
    Unit,
    printable,
    runs,
)
from melbeam.pipelines.tfrecord import Span
from melbeam.transforms.folder_layout import folder_prefix
from melbeam.transforms.records.audio_example import bytes_or_floats
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.rows import keep_row
from melbeam.transforms.records.tf_example import to_example
from melbeam.transforms.records.wire import Values

_ROWS_AT_ONCE = 16
_READ_ERRORS = (OSError, pa.ArrowException, ValueError)


def plan(found: Found, options: SourceOptions) -> Planned:
    """A unit for each file, or several for a large one with several row groups.

    Raises:
        ValueError: a file is no Parquet, or no column of it is audio.
    """
    types, unused, others = ColumnTypes(), dict[str, None](), dict[str, None]()
    root = found.root if options.root is None else options.root
    units = [
        unit
        for path, size in found.paths
        for unit in _plan_file(path, size, options, root, partition_of(path, found.root), types, unused, others)
    ]
    where = printable(found.pattern)
    notes = types.note(where) + [
        f"{where}: {name} is not passed through, since it lies in the column of the audio: "
        f"--columns={name.rpartition('.')[2]}={name} takes it"
        for name in unused
    ]
    notes += [
        f"{where}: {name} holds files too, and each is passed through whole, its bytes as base64: leave the "
        f"column out of the Parquet file, or take it as the audio (--columns=audio={name})"
        for name in others
    ]
    return Planned(with_types(units, types.of_mixed()), LeftOut(notes=notes))


def _plan_file(
    path: str,
    size: int,
    options: SourceOptions,
    root: str,
    partition: Mapping[str, str | None],
    types: ColumnTypes,
    unused: dict[str, None],
    others: dict[str, None],
) -> list[Unit]:
    with files.open_file(path) as file:
        try:
            opened = pq.ParquetFile(RawFile(file))
        except _READ_ERRORS as error:
            raise ValueError(f"{printable(path)} is no whole Parquet file: {error}") from error
        metadata, schema = opened.metadata, opened.schema_arrow
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        sizes, rows = [group.total_byte_size for group in groups], [group.num_rows for group in groups]
    check_names(schema, printable(path))
    schema = with_columns(schema, partition)
    columns = columns_of(schema, options.columns, printable(path))
    if options.shard_bytes is None or size <= options.shard_bytes or not groups:
        cut = [(0, len(groups))]
    else:
        cut = runs(sizes, options)
    see_types(schema, columns, types)
    unused.update(dict.fromkeys(unused_fields(schema, columns)))
    others.update(dict.fromkeys(other_audio(schema, columns)))
    keys = path_of(fields_of(schema), columns["audio"]) or ()
    nested = {"audio_keys": list(keys)} if len(keys) > 1 else {}
    folder = folder_prefix(path)
    # Few tables are divided by folders; all others leave it out, so that their plans stay what they were.
    of_folders = {"partition": dict(partition)} if partition else {}
    return [
        Unit(
            path,
            size,
            part,
            len(cut),
            kind=PARQUET,
            span=Span(number=sum(rows[:first])),
            num_records=sum(rows[first:last]),
            details={
                "groups": [first, last],
                "columns": columns,
                "folder": folder,
                "root": root,
                **nested,
                **of_folders,
            },
        )
        for part, (first, last) in enumerate(cut)
    ]


def read(unit: Unit, max_record_bytes: int) -> Iterator[Item]:
    """The rows, in order; what cannot be read of a row group is one damage."""
    groups = [(group, 0) for group in range(*unit.details["groups"])]
    yield from read_rows(_rows(unit.path, unit.details, groups, unit, max_record_bytes), unit, max_record_bytes)


def _rows(
    path: str, details: Mapping[str, Any], groups: Iterable[tuple[int, int]], unit: Unit, max_record_bytes: int
) -> Iterator[Row | BadRow | Item]:
    """The rows of some row groups, each from one of its rows on; numbered and placed as in a unit."""
    numbers = count(unit.span.number)
    with files.open_file(path) as file:
        try:
            opened = pq.ParquetFile(RawFile(file), page_checksum_verification=True)
        except pa.ArrowException as error:
            raise OSError(f"{printable(path)} is no whole Parquet file: {error}") from error
        for group, first in groups:
            if group >= opened.metadata.num_row_groups:
                raise FileNotFoundError(f"{printable(path)} has no row group {group}")
            num_rows, rows_seen = opened.metadata.row_group(group).num_rows, 0
            try:
                for batch in opened.iter_batches(_ROWS_AT_ONCE, row_groups=[group]):
                    for row in range(max(0, first - rows_seen), batch.num_rows):
                        kept = {"kind": PARQUET, "path": path, "group": group, "first": rows_seen + row, "rows": 1}
                        yield _row(batch, row, details, unit, next(numbers), max_record_bytes, kept)
                    rows_seen += batch.num_rows
            except (OSError, pa.ArrowException) as error:
                lost = num_rows - max(rows_seen, first)
                why = " ".join(str(error).split())[:200]
                detail = f"{lost} of the {num_rows} rows of row group {group} cannot be read: {why}"
                kept = {"kind": PARQUET, "path": path, "group": group, "first": max(rows_seen, first)}
                yield _damage(unit, next(numbers), detail, {**kept, "details": dict(details)})


def _damage(unit: Unit, number: int, detail: str, row: Mapping[str, Any]) -> Damage:
    return Damage(number, unit.place(number), Reject("bad_row", detail), keep_row(row, {}, {}))


def _row(
    batch: Any,
    row: int,
    details: Mapping[str, Any],
    unit: Unit,
    number: int,
    max_record_bytes: int,
    kept: Mapping[str, Any],
) -> Row | BadRow | Item:
    """A row that names its audio, or the record that holds it; `kept` is how its reject finds it again."""
    columns, types = details["columns"], details.get("types", {})
    values: dict[str, Any] = dict(details.get("partition", {}))
    unreadable = ""
    audio_keys = details["audio_keys"] if "audio_keys" in details else [columns["audio"]]
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            values[name] = _value(column[row], audio_keys[1:] if audio_keys[0] == name else None)
        except UnicodeDecodeError as error:
            unreadable = unreadable or f"column {name!r} is not UTF-8: {error}"
        except (ValueError, OverflowError) as error:
            unreadable = unreadable or f"column {name!r} holds a value that Python has no type for: {error}"
    whole = values.get(columns["audio"])
    values = lifted(values, columns.values())
    if whole is not None:  # which a name such as audio.path takes nothing from
        values[columns["audio"]] = whole
    audio = values.get(columns["audio"])
    path = audio.get("path") if isinstance(audio, dict) else audio
    if not unreadable and isinstance(path, str) and not (isinstance(audio, dict) and _has_samples(audio)):
        try:
            found = row_of(values, columns, folder=details["folder"], root=details["root"])
            return replace(found, columns=with_one_type(found.columns, types))
        except ValueError as error:
            said = {"kind": PARQUET, "path": unit.path, "detail": str(error)}
            given = as_id(values.get(columns["id"])) if "id" in columns else None
            return BadRow(str(error), keep_row(said, passed_through(values, columns), {}), given)
    fields: dict[str, Values] = {}
    try:
        fields = {**with_one_type(passed_through(values, columns), types)}
        given = as_id(values.get(columns["id"])) if "id" in columns else None
        if given is not None:
            fields["id"] = given
        if unreadable:
            raise Reject("bad_row", unreadable)
        if audio is None:
            raise Reject("no_audio", f"no audio in column {columns['audio']!r}")
        start, end = _times(values, columns)
        content = _segment(_content(audio, fields), start, end, fields, max_record_bytes)
        if len(content) > max_record_bytes:
            raise Reject("over_limit", f"audio of {len(content)} bytes, above {max_record_bytes}")
        if isinstance(content, bytes):
            record = to_example(fields, None, ("audio", memoryview(content)))
        else:
            record = to_example({**fields, "audio": content})
        texts = Row("", "", start, end, columns=fields).texts_with_times
        return AudioRecord(number, unit.place(number), record, segments=texts)
    except Reject as reject:
        others = {name: value for name, value in values.items() if name != columns["audio"]}
        fields_kept = passed_through(others, columns)
        if "id" in fields:
            reject.record_id = fields_kept["id"] = str(fields["id"])
        kept_row = keep_row({**kept, "details": dict(details)}, fields_kept, {})
        return Damage(number, unit.place(number), reject, kept_row)


def _value(scalar: Any, to_audio: Sequence[str] | None) -> Any:
    """A value as Python has it; the audio's samples as an array, which is many times quicker.

    Args:
        scalar: of a column, or of a field in one.
        to_audio: the keys that lead from it to the audio; None where it holds none.
    """
    if to_audio is not None and scalar.is_valid:
        if isinstance(scalar, pa.ListScalar) and _is_number(scalar.type.value_type):
            return scalar.values.to_numpy(zero_copy_only=False)
        if pa.types.is_struct(scalar.type):
            of_field = dict.fromkeys(to_audio[:1] or scalar, to_audio[1:])
            return {name: _value(scalar[name], of_field.get(name)) for name in scalar}
    return _time(scalar) if pa.types.is_temporal(scalar.type) else scalar.as_py()


def _time(scalar: Any) -> Any:
    """A date, a time or a duration as Python has it, in microseconds; as text, where that has no room for it.

    So it is the same whether pandas is installed or not, which pyarrow would take nanoseconds with.
    """
    kind = scalar.type
    try:
        if pa.types.is_timestamp(kind):
            return scalar.cast(pa.timestamp("us", kind.tz)).as_py()
        if pa.types.is_time64(kind):
            return scalar.cast(pa.time64("us")).as_py()
        return scalar.cast(pa.duration("us")).as_py() if pa.types.is_duration(kind) else scalar.as_py()
    except (pa.ArrowInvalid, OverflowError):
        if getattr(kind, "unit", None) == "ns" and not pa.types.is_duration(kind):
            return scalar.cast(pa.string()).as_py()
        return f"{scalar.value} as {kind}"  # pyarrow writes years beyond 32,767 as others


def _is_number(kind: Any) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


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
            fields["sampling_rate"] = as_number(rate, int)
    if isinstance(audio, bytes):
        return audio
    if isinstance(audio, np.ndarray):
        if audio.dtype.name in OWN_FULL_SCALE:
            return bytes_or_floats(audio)
        return audio.astype(np.int64 if audio.dtype.kind in "iu" else np.float32)
    if isinstance(audio, list):
        raise Reject("bad_field", "audio must be samples of one channel")
    raise Reject("no_audio", f"audio must be bytes, samples or a path, got {type(audio).__name__}")


def _times(values: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[float | None, float | None]:
    """Start and end, in seconds, of what a row takes of the audio that it holds, where `--columns` names them.

    Raises:
        Reject: bad_row, they are none.
    """
    if "start" not in columns and "end" not in columns:
        return None, None
    try:
        return times_of(values, columns)[:2]
    except ValueError as error:
        raise Reject("bad_row", str(error)) from error


def _segment(
    content: bytes | np.ndarray,
    start: float | None,
    end: float | None,
    fields: Mapping[str, Values],
    max_record_bytes: int,
) -> bytes | np.ndarray:
    """Returns what lies between two times in the audio of a row; all of it where there are none.

    Raises:
        Reject: bad_row, they do not lie in the audio.
    """
    if start is None:
        return content
    if isinstance(content, bytes):
        recordings = Recordings(max_record_bytes, lambda _: io.BytesIO(content))
        try:
            return recordings.segment("the row's audio", start, end)
        finally:
            recordings.close()
    rate = fields.get("sampling_rate")
    if not isinstance(rate, int) or rate < 1:
        raise Reject("bad_row", f"samples without a rate in Hz, which a segment needs: got {rate!r}")
    first, last = frames_of(start, end, rate, len(content), "the row's audio")
    return content[first:last]


def read_again(row: Mapping[str, Any], unit: Unit, max_record_bytes: int) -> Iterator[Item]:
    """Reads again what could not be read, from a file that may be whole by now: a row, or the rest of a group."""
    detail = f"copy {printable(row['path'])} again from its source"
    if "group" not in row:  # a row that says nothing that could be read
        yield _damage(unit, unit.span.number, f"{row['detail']}: {detail}, and extract it", row)
        return
    groups = [(row["group"], row["first"])]
    rows = islice(_rows(row["path"], row["details"], groups, unit, max_record_bytes), row.get("rows"))
    try:
        yield from read_rows(rows, unit, max_record_bytes)
    except OF_ONE_FILE as error:
        yield _damage(unit, unit.span.number, f"{' '.join(str(error).split())[:200]}: {detail}", row)
