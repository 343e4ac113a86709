"""Fields inside of others, by dotted names: `info.text` is the field `text` of the column `info`.

A column whose own name has dots is found first. What is taken out of a column is not passed through with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def names_in(values: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """The names of all columns, and dotted ones of what lies in them."""
    for name, value in values.items():
        yield before + name
        if isinstance(value, Mapping):
            yield from names_in(value, f"{before}{name}.")


def path_of(values: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """The keys that lead to what a dotted name names; None where nothing there is called so."""
    if name in values:
        return (name,)
    for key, value in values.items():
        if isinstance(value, Mapping) and name.startswith(f"{key}."):
            rest = path_of(value, name[len(key) + 1 :])
            if rest is not None:
                return (key, *rest)
    return None


def lifted(values: Mapping[str, Any], wanted: Iterable[str]) -> dict[str, Any]:
    """The columns, with those fields that dotted names want as columns of these names.

    Args:
        values: columns by name.
        wanted: names of columns and of fields; those that are not there change nothing.
    """
    found: dict[str, Any] = dict(values)
    for name in wanted:
        # Most names are those of columns; this is done for each row.
        keys = None if name in values or "." not in name else path_of(values, name)
        if keys is None:
            continue
        value: Any = values
        for key in keys:
            value = value[key]
        rest = _without(found[keys[0]], keys[1:]) if keys[0] in found else {}
        if rest:
            found[keys[0]] = rest
        else:
            found.pop(keys[0], None)
        found[name] = value
    return found


def _without(values: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """The fields but for one, and but for what is empty without it."""
    rest = dict(values)
    inner = _without(rest[keys[0]], keys[1:]) if len(keys) > 1 and keys[0] in rest else {}
    if inner:
        rest[keys[0]] = inner
    else:
        rest.pop(keys[0], None)
    return rest
