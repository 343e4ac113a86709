"""What the schema of a Parquet file says of its columns: which is what, and of which type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources.column_types import INTEGER, NUMBER, TEXT, ColumnTypes
from melbeam.pipelines.sources.columns import by_theirs, find_columns, names_given
from melbeam.pipelines.sources.nested import names_in, path_of

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # of a row whose column is null
_OF_AUDIO = {"bytes", "path", "array", "sampling_rate"}  # the fields of its struct that are used


def check_names(kind: Any, where: str) -> None:
    """Refuses two columns, or two fields of a struct, of one name, of which one would be lost.

    Raises:
        ValueError: with the name.
    """
    fields = _fields(kind)
    names = [one.name for one in fields]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{where} has two columns {twice!r}: rename one of them")
    for one in fields:
        if pa.types.is_struct(one.type):
            check_names(one.type, where)


def partition_of(path: str, root: str) -> dict[str, str | None]:
    """The columns that the folders of a table tell, `lang=de/part-0.parquet`, as Hive and Spark divide one.

    Args:
        path: of a file of the table.
        root: of the table, with a slash at its end, or "".
    """
    named = (folder.partition("=") for folder in path.removeprefix(root).split("/")[:-1] if "=" in folder)
    return {unquote(name): None if value == _NO_VALUE else unquote(value) for name, _, value in named if name}


def with_columns(schema: Any, names: Iterable[str]) -> Any:
    """A schema with columns of text that it has not."""
    for name in names:
        schema = schema if name in schema.names else schema.append(pa.field(name, pa.string()))
    return schema


def columns_of(schema: Any, asked: Mapping[str, str], where: str) -> dict[str, str]:
    """Ours to theirs; where no name tells it, the one column or field that can hold audio is the audio.

    Raises:
        ValueError: none can be, one that was asked for is not there, or nothing says the rate of samples.
    """
    fields = fields_of(schema)
    names = list(names_in(fields))
    columns: dict[str, str] = {**asked}
    if "audio" not in asked and "audio" not in fields:
        inner = [name for name in names if name not in fields]
        for can_hold, there in ((_is_audio_struct, fields), (_is_bytes, fields), (_is_audio_struct, inner)):
            found = [name for name in there if can_hold(_type_of(schema, fields, name))]
            if len(found) == 1:
                columns["audio"] = found[0]
                break
    columns = find_columns(names, columns, where, lambda name: _is_path(_type_of(schema, fields, name)))
    _check_rate(_type_of(schema, fields, columns["audio"]), columns, names, where)
    return columns


def _check_rate(kind: Any, columns: Mapping[str, str], names: Sequence[str], where: str) -> None:
    """Refuses samples whose rate nothing says.

    Raises:
        ValueError: with the columns that there are.
    """
    there = fields_of(kind) if pa.types.is_struct(kind) else {}
    holds_samples = _is_list(kind) or ("array" in there and "bytes" not in there)
    if holds_samples and "sampling_rate" not in there and "sampling_rate" not in columns:
        raise UsageError(
            Refusal.BAD_COLUMNS,
            f"{where} has samples in {columns['audio']!r}, and no column says their rate in Hz: name it with "
            f"--columns=sampling_rate=COLUMN; it has {', '.join(names)}",
        )


def see_types(schema: Any, columns: Mapping[str, str], types: ColumnTypes) -> None:
    """Takes the types of a file's columns into account, under the names that they get."""
    ours_of = by_theirs(columns)
    fields = fields_of(schema)
    for name in dict.fromkeys((*schema.names, *columns.values())):
        kind = _type_of(schema, fields, name)
        if _is_list(kind):
            kind = _values_of(kind.value_type)
        if name == columns["audio"] or pa.types.is_null(kind):
            continue
        for ours in names_given(name, columns, ours_of):
            if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
                types.see_type(ours, INTEGER)
            else:
                types.see_type(ours, NUMBER if pa.types.is_floating(kind) else TEXT)


def unused_fields(schema: Any, columns: Mapping[str, str]) -> list[str]:
    """The names of the fields that lie in the audio's struct beside it, and that nobody asked for."""
    kind = _type_of(schema, fields_of(schema), columns["audio"])
    if not pa.types.is_struct(kind):
        return []
    names = [f"{columns['audio']}.{name}" for name in fields_of(kind) if name not in _OF_AUDIO]
    return [name for name in names if name not in columns.values()]


def other_audio(schema: Any, columns: Mapping[str, str]) -> list[str]:
    """The names of the columns of files that are neither the audio nor asked for."""
    fields = fields_of(schema)
    taken = {theirs.partition(".")[0] for theirs in columns.values()} | set(columns.values())
    return [name for name in fields if name not in taken and _is_audio_struct(_type_of(schema, fields, name))]


def fields_of(kind: Any) -> dict[str, Any]:
    """The names of a table's columns, or of a struct's fields, each to those of what lies in it."""
    return {f.name: fields_of(f.type) if pa.types.is_struct(f.type) else None for f in _fields(kind)}


def _fields(kind: Any) -> list[Any]:
    return [kind.field(i) for i in range(len(kind) if isinstance(kind, pa.Schema) else kind.num_fields)]


def _type_of(schema: Any, fields: Mapping[str, Any], name: str) -> Any:
    """The type of a column, or of a field that a dotted name names, without its dictionary."""
    kind = schema
    for key in path_of(fields, name) or ():
        kind = _values_of(kind.field(key).type)
    return kind


def _values_of(kind: Any) -> Any:
    """The type of a column's values, which a dictionary may hold."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_list(kind: Any) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _is_audio_struct(kind: Any) -> bool:
    return pa.types.is_struct(kind) and not {"bytes", "array"}.isdisjoint(fields_of(kind))


def _is_bytes(kind: Any) -> bool:
    is_view = getattr(pa.types, "is_binary_view", None)  # of newer versions
    return (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or (is_view is not None and is_view(kind))
    )


def _is_path(kind: Any) -> bool:
    is_view = getattr(pa.types, "is_string_view", None)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or (is_view is not None and is_view(kind))
