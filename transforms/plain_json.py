"""JSON as data only: no object that says two things under one name, of which Python would take the last."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def load_json(text: str | bytes, *, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """The value of a JSON document that somebody else wrote.

    Args:
        text: the document; bytes are UTF-8, UTF-16 or UTF-32.
        parse_constant: what "NaN", "Infinity" and "-Infinity" are taken for; None takes them for floats.

    Raises:
        ValueError: it is no JSON, or an object in it says two things under one name.
        RecursionError: it is nested thousands deep.
    """
    return json.loads(text, parse_constant=parse_constant, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands twice in an object")
    return values
