"""One type for each column, where a table's rows hold several: JSON's `1` beside `0.5`, or `7` beside `"7b"`.

Readers of records take one type a feature. A table is read as a whole before it is divided into units, so what its
columns hold is known then: numbers of both types become floats, unless one of the integers would change, and any
other mixture becomes text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from melbeam.pipelines.sources.units import Unit
from melbeam.transforms.records.wire import Values

TEXT, INTEGER, NUMBER = "text", "integers", "floats"  # as a person reads them
_EXACT = 1 << 24  # up to here float32, which a tf.train.Example has, holds every integer
_TYPES: dict[type, str] = {int: INTEGER, float: NUMBER, str: TEXT, bytes: TEXT}


class ColumnTypes:
    """Records which types the values of each column have."""

    def __init__(self) -> None:
        self._seen: dict[str, set[str]] = {}
        self._large: set[str] = set()  # columns of integers that a record's floats would change

    def see(self, columns: Mapping[str, Values]) -> None:
        """Takes the columns of a row, as records hold them, into account."""
        for name, value in columns.items():
            if name != "sampling_rate":  # text there is its own row's fault, and is to make no text of the others
                kind = type_of(value)
                self.see_type(name, kind)
                if kind == INTEGER and name not in self._large and _is_large(value):
                    self._large.add(name)

    def see_type(self, name: str, kind: str) -> None:
        """Takes a column of one type into account."""
        seen = self._seen.get(name)
        if seen is None:
            self._seen[name] = {kind}
        elif kind not in seen:
            seen.add(kind)

    def of_mixed(self) -> dict[str, str]:
        """The type that each column of several types becomes, by its name."""
        return {
            name: TEXT if TEXT in seen or name in self._large else NUMBER
            for name, seen in sorted(self._seen.items())
            if len(seen) > 1
        }

    def _why_no_floats(self, name: str) -> str:
        return "" if TEXT in self._seen[name] else ", and floats of 32 bits would change its integers"

    def note(self, where: str) -> list[str]:
        """A line for a person about each column whose values are not all text, and become it."""
        return [
            f"{where}: column {name!r} holds {' and '.join(sorted(self._seen[name]))}, and all of it becomes "
            f"{kind}, since readers take one type{self._why_no_floats(name)}"
            for name, kind in self.of_mixed().items()
            if kind == TEXT  # whole numbers among floats are only written without their point
        ]


def _is_large(value: Any) -> bool:
    return any(map(_is_large, value)) if isinstance(value, list) else abs(value) > _EXACT


def type_of(value: Values) -> str:
    """The type of a value, or of a list's values, as `as_feature` gives them."""
    kind = _TYPES.get(type(value))
    return kind if kind is not None else type_of(value[0]) if isinstance(value, list) and value else TEXT


def with_one_type(columns: Mapping[str, Values], types: Mapping[str, str]) -> Mapping[str, Values]:
    """The columns of a row with those of several types as `ColumnTypes.of_mixed` wants them."""
    if not types:
        return columns
    return {name: _as(value, types[name]) if name in types else value for name, value in columns.items()}


def _as(value: Any, kind: str) -> Any:
    if isinstance(value, list):
        return [_as(one, kind) for one in value]
    if kind == NUMBER:
        # A list with a null in it, as Parquet may have among numbers, is text.
        with suppress(ValueError):
            return float(value)
        return value
    return value if isinstance(value, bytes | str) else json.dumps(value).encode()


def with_types(units: Iterable[Unit], types: Mapping[str, str]) -> list[Unit]:
    """The units with the types in their details; where no column has several, the units as they are."""
    return [replace(unit, details={**unit.details, "types": dict(types)}) if types else unit for unit in units]
