"""Parquet files as hubs store audio; the row groups of a large file are several units.

The audio is a struct of bytes and path, bytes alone, samples with a rate (in a struct, or in a column beside
them), or a path; it may lie in a struct, as do `sample.audio` and `info.text`. pyarrow, which reads them, comes
with Beam.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from melbeam.pipelines import files
from melbeam.pipelines.files.raw_file import RawFile
from melbeam.pipelines.sources.column_types import ColumnTypes, with_one_type, with_types
from melbeam.pipelines.sources.columns import as_number, given_id, passed_through, row_of, times_of
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
from melbeam.pipelines.sources.rows import OF_ONE_FILE, BadRow, Row, read_rows
from melbeam.pipelines.sources.segments import Recordings, frames_of
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
from melbeam.transforms.messages import in_one_line
from melbeam.transforms.records.audio_example import bytes_or_floats
from melbeam.transforms.records.kept_rows import keep_row
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.tf_example import to_example
from melbeam.transforms.records.wire import Values

_ROWS_AT_ONCE = 16
_LONGEST_ERROR = 200  # characters of pyarrow's words, in the detail of a reject
_READ_ERRORS = (OSError, pa.ArrowException, ValueError)


@dataclass(frozen=True)
class _Seen:
    """Collects what a person should know of all files together.

    Attributes:
        types: of their columns.
        unused: the fields beside the audio in its struct, which nobody asked for.
        others: the columns of files that are not the audio.
    """

    types: ColumnTypes = field(default_factory=ColumnTypes)
    unused: dict[str, None] = field(default_factory=dict)
    others: dict[str, None] = field(default_factory=dict)

    def see(self, schema: Any, columns: Mapping[str, str]) -> None:
        """Takes a file into account."""
        see_types(schema, columns, self.types)
        self.unused.update(dict.fromkeys(unused_fields(schema, columns)))
        self.others.update(dict.fromkeys(other_audio(schema, columns)))

    def notes(self, where: str) -> list[str]:
        """Lines for a person."""
        return [
            *self.types.note(where),
            *(
                f"{where}: {name} is not passed through, since it lies in the column of the audio: "
                f"--columns={name.rpartition('.')[2]}={name} takes it"
                for name in self.unused
            ),
            *(
                f"{where}: {name} holds files too, and each is passed through whole, its bytes as base64: leave "
                f"the column out of the Parquet file, or take it as the audio (--columns=audio={name})"
                for name in self.others
            ),
        ]


def plan(found: Found, options: SourceOptions) -> Planned:
    """A unit for each file, or several for a large one with several row groups.

    Raises:
        ValueError: a file is no Parquet, or no column of it is audio.
    """
    seen = _Seen()
    units = [unit for path, size in found.paths for unit in _plan_file(path, size, found, options, seen)]
    notes = seen.notes(printable(found.pattern))
    return Planned(with_types(units, seen.types.of_mixed()), LeftOut(notes=notes))


def _plan_file(path: str, size: int, found: Found, options: SourceOptions, seen: _Seen) -> list[Unit]:
    metadata, schema = _metadata_and_schema(path)
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    sizes, rows = [group.total_byte_size for group in groups], [group.num_rows for group in groups]
    check_names(schema, printable(path))
    partition = partition_of(path, found.root)
    schema = with_columns(schema, partition)
    columns = columns_of(schema, options.columns, printable(path))
    if options.shard_bytes is None or size <= options.shard_bytes or not groups:
        cut = [(0, len(groups))]
    else:
        cut = runs(sizes, options)
    seen.see(schema, columns)
    keys = path_of(fields_of(schema), columns["audio"]) or ()
    details = {
        "columns": columns,
        "folder": folder_prefix(path),
        "root": found.root if options.root is None else options.root,
        # Few tables need these; all others leave them out, so that their plans stay what they were.
        **({"audio_keys": list(keys)} if len(keys) > 1 else {}),
        **({"partition": dict(partition)} if partition else {}),
    }
    return [
        Unit(
            path,
            size,
            part,
            len(cut),
            kind=PARQUET,
            span=Span(number=sum(rows[:first])),
            num_records=sum(rows[first:last]),
            details={"groups": [first, last], **details},
        )
        for part, (first, last) in enumerate(cut)
    ]


def _metadata_and_schema(path: str) -> tuple[Any, Any]:
    """This asks pyarrow about a file.

    Raises:
        ValueError: it is no Parquet, or not all of one.
    """
    with files.open_file(path) as file:
        try:
            opened = pq.ParquetFile(RawFile(file))
        except _READ_ERRORS as error:
            raise ValueError(f"{printable(path)} is no whole Parquet file: {error}") from error
        return opened.metadata, opened.schema_arrow


def read(unit: Unit, max_record_bytes: int) -> Iterator[Item]:
    """The rows, in order; what cannot be read of a row group is one damage."""
    groups = [(group, 0) for group in range(*unit.details["groups"])]
    rows = _Rows(unit.path, unit.details, unit, max_record_bytes).of_groups(groups)
    yield from read_rows(rows, unit, max_record_bytes)


@dataclass(frozen=True)
class _Rows:
    """The rows of a file.

    Attributes:
        path: of the file.
        details: of the unit that the file was planned in, which say what its columns are.
        unit: that numbers and places are of: that one, or the one of the rejects from which it is read again.
        max_record_bytes: of a row's audio.
    """

    path: str
    details: Mapping[str, Any]
    unit: Unit
    max_record_bytes: int

    def of_groups(self, groups: Iterable[tuple[int, int]]) -> Iterator[Row | BadRow | Item]:
        """The rows of some row groups, each from one of its rows on; numbered and placed as in a unit."""
        numbers = count(self.unit.span.number)
        with files.open_file(self.path) as file:
            try:
                opened = pq.ParquetFile(RawFile(file), page_checksum_verification=True)
            except pa.ArrowException as error:
                raise OSError(f"{printable(self.path)} is no whole Parquet file: {error}") from error
            for group, first in groups:
                yield from self._of_group(opened, group, first, numbers)

    def _of_group(
        self, opened: Any, group: int, first: int, numbers: Iterator[int]
    ) -> Iterator[Row | BadRow | Item]:
        """The rows of a row group from one of them on; what cannot be read of them is one damage."""
        if group >= opened.metadata.num_row_groups:
            raise FileNotFoundError(f"{printable(self.path)} has no row group {group}")
        num_rows, rows_seen = opened.metadata.row_group(group).num_rows, 0
        try:
            for batch in opened.iter_batches(_ROWS_AT_ONCE, row_groups=[group]):
                for row in range(max(0, first - rows_seen), batch.num_rows):
                    yield self._of_row(batch, row, next(numbers), (group, rows_seen + row))
                rows_seen += batch.num_rows
        except (OSError, pa.ArrowException) as error:
            next_row = max(rows_seen, first)
            why = in_one_line(error, most=_LONGEST_ERROR)
            detail = f"{num_rows - next_row} of the {num_rows} rows of row group {group} cannot be read: {why}"
            yield _damage(self.unit, next(numbers), detail, self._kept(group, next_row))

    def _kept(self, group: int, first: int, **more: Any) -> dict[str, Any]:
        """How `read_again` finds the rows of a row group from one of them on; `rows=1` for that one alone."""
        where = {"kind": PARQUET, "path": self.path, "group": group, "first": first, **more}
        return {**where, "details": dict(self.details)}

    def _of_row(self, batch: Any, row: int, number: int, place: tuple[int, int]) -> Row | BadRow | Item:
        """A row that names its audio, or the record that holds it.

        Args:
            batch: of the file, that the row lies in.
            row: its number in the batch.
            number: that it gets in the unit.
            place: the number of its row group, and its own in that.
        """
        values, unreadable = self._values(batch, row)
        audio = values.get(self.details["columns"]["audio"])
        path = audio.get("path") if isinstance(audio, dict) else audio
        if not unreadable and isinstance(path, str) and not (isinstance(audio, dict) and _has_samples(audio)):
            return self._naming_audio(values, place)
        return self._holding_audio(values, audio, unreadable, number, place)

    def _values(self, batch: Any, row: int) -> tuple[dict[str, Any], str]:
        """The values of a row by the names of their columns, and why one cannot be read; "" where all can be."""
        columns = self.details["columns"]
        values: dict[str, Any] = dict(self.details.get("partition", {}))
        unreadable = ""
        audio_keys = self.details.get("audio_keys", [columns["audio"]])
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
        return values, unreadable

    def _naming_audio(self, values: dict[str, Any], place: tuple[int, int]) -> Row | BadRow:
        columns = self.details["columns"]
        try:
            found = row_of(values, columns, folder=self.details["folder"], root=self.details["root"])
        except ValueError as error:
            kept = keep_row(self._kept(*place, rows=1), passed_through(values, columns), {})
            return BadRow(str(error), kept, given_id(values, columns))
        return replace(found, columns=with_one_type(found.columns, self.details.get("types", {})))

    def _holding_audio(
        self, values: dict[str, Any], audio: Any, unreadable: str, number: int, place: tuple[int, int]
    ) -> Item:
        columns = self.details["columns"]
        fields: dict[str, Values] = {}
        try:
            fields = {**with_one_type(passed_through(values, columns), self.details.get("types", {}))}
            given = given_id(values, columns)
            if given is not None:
                fields["id"] = given
            if unreadable:
                raise Reject("bad_row", unreadable)
            if audio is None:
                raise Reject("no_audio", f"no audio in column {columns['audio']!r}")
            start, end = _times(values, columns)
            content = _segment(_content(audio, fields), start, end, fields, self.max_record_bytes)
            if len(content) > self.max_record_bytes:
                raise Reject("over_limit", f"audio of {len(content)} bytes, above {self.max_record_bytes}")
            if isinstance(content, bytes):
                record = to_example(fields, None, ("audio", memoryview(content)))
            else:
                record = to_example({**fields, "audio": content})
            texts = Row("", "", start, end, columns=fields).texts_with_times
            return AudioRecord(number, self.unit.place(number), record, segments=texts)
        except Reject as reject:
            others = {name: value for name, value in values.items() if name != columns["audio"]}
            fields_kept = passed_through(others, columns)
            if "id" in fields:
                reject.record_id = fields_kept["id"] = str(fields["id"])
            kept = keep_row(self._kept(*place, rows=1), fields_kept, {})
            return Damage(number, self.unit.place(number), reject, kept)


def _damage(unit: Unit, number: int, detail: str, row: Mapping[str, Any]) -> Damage:
    return Damage(number, unit.place(number), Reject("bad_row", detail), keep_row(row, {}, {}))


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
    if "group" not in row:  # as earlier melbeams kept one that says nothing that could be read
        yield _damage(unit, unit.span.number, f"{row['detail']}: {detail}, and extract it", row)
        return
    groups = [(row["group"], row["first"])]
    rows = _Rows(row["path"], row["details"], unit, max_record_bytes).of_groups(groups)
    try:
        yield from read_rows(islice(rows, row.get("rows")), unit, max_record_bytes)
    except OF_ONE_FILE as error:
        yield _damage(unit, unit.span.number, f"{in_one_line(error, most=_LONGEST_ERROR)}: {detail}", row)
