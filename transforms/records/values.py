"""Values of other formats' columns as features of a tf.train.Example, with their type."""

from __future__ import annotations

import base64
import json
import math
from contextlib import suppress
from typing import Any

import numpy as np

from melbeam.transforms.records.wire import Values

_INT64 = range(-(2**63), 2**63)


def as_feature(value: Any) -> Values | None:
    """A column's value as `to_example` takes it; None where there is none.

    Text, bytes, integers and floats keep their type, and so do lists of one of them; true and false become 1 and
    0; an array of any package, TensorFlow's and PyTorch's among them, is as its values are. Anything else becomes
    text: JSON, where it is a mapping or a nested or mixed list.
    """
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if hasattr(value, "__array__") and not isinstance(value, np.generic):
        value = np.asarray(value)
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return _list(list(value))
    return _scalar(value)


def _scalar(value: Any) -> Values | None:
    if value is None or isinstance(value, bytes | float):
        return value
    if isinstance(value, str):
        return value.encode(errors="replace")  # JSON may hold half a surrogate pair, which no UTF-8 can
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if value in _INT64 else str(value).encode()
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=_as_json).encode(errors="replace")
    return str(value).encode(errors="replace")


def _as_json(value: Any) -> str:
    """What JSON has no type for: bytes are text where they are UTF-8, else base64."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    return str(value)


def _list(values: list[Any]) -> Values | None:
    if not values:
        return None
    if all(isinstance(value, int | float) for value in values):
        if all(isinstance(value, int) for value in values):
            whole = all(value in _INT64 for value in values)
            return [int(value) if whole else str(int(value)).encode() for value in values]
        with suppress(OverflowError):  # of an integer that no float is near to
            return [float(value) for value in values]
    if all(isinstance(value, str) for value in values) or all(isinstance(value, bytes) for value in values):
        return [_scalar(value) for value in values]
    return _scalar(values)


def as_seconds(value: Any, name: str) -> float | None:
    """A column of seconds; None where it is empty.

    Raises:
        ValueError: it is no number, or negative.
    """
    if value is None or value == "":
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{name} must be seconds, 0 or more, got {value!r}")
    return seconds
