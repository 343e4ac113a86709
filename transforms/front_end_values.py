"""The values of a front end's fields, as YAML and JSON have them: checked, and in one form."""

from __future__ import annotations

import math
from typing import Any

from melbeam.transforms.bounds import is_flag

# No model has a front end near these numbers, and mel banks and windows beyond them fit into no memory.
_AT_MOST = 1 << 24
_MOST_MELS = 1 << 14


def positive_integer(field: str, value: Any) -> int:
    """The value as a whole number.

    Raises:
        ValueError: it is none, less than 1, or beyond any front end; the message names the field.
    """
    number = math.nan if isinstance(value, str) else finite(field, value)
    if math.isnan(number) or number != int(number) or number < 1:
        raise ValueError(f"{field} must be a whole number of at least 1, got {value!r}")
    at_most = _MOST_MELS if field == "num_mels" else _AT_MOST
    if number > at_most:
        raise ValueError(f"{field} must be at most {at_most}, got {value!r}")
    return int(number)


def flag(field: str, value: Any) -> bool:
    """The value as true or false.

    Raises:
        ValueError: it is neither; the message names the field.
    """
    if not is_flag(value):
        raise ValueError(f"{field} must be true or false, got {value!r}")
    return bool(value)


def finite(field: str, value: Any) -> float:
    """The value as a finite number.

    Raises:
        ValueError: it is none; the message names the field.
    """
    # A string is taken since YAML 1.1 reads 1e-5, without a point, as one.
    try:
        number = math.nan if is_flag(value) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{field} must be a finite number, got {value!r}")
    return number + 0.0  # -0.0, which is written otherwise, becomes 0.0


def per_bin(field: str, values: Any, num_mels: int) -> tuple[float, ...]:
    """The values as one finite number a mel bin.

    Raises:
        ValueError: they are not `num_mels` numbers; the message names the field.
    """
    try:
        numbers = tuple(finite(f"{field}[{i}]", value) for i, value in enumerate(values))
    except TypeError as error:
        raise ValueError(f"{field} must be a list of {num_mels} numbers, got {values!r}") from error
    if len(numbers) != num_mels:
        raise ValueError(f"{field} must have num_mels = {num_mels} values, got {len(numbers)}")
    return numbers
