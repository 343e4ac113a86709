"""Checks numbers that people give against their bounds; an error names the number, its bounds and the value."""

from __future__ import annotations

import math
import numbers
from typing import Any

# Python's and NumPy 2's, and NumPy 1's: a parser that asks waits for no NumPy.
_BOOLEANS = ("bool", "bool_")


def check_integer(name: str, value: Any, *, at_least: int, at_most: int | None = None, unit: str = "") -> None:
    """Refuses what is no whole number within bounds.

    Raises:
        ValueError: with the name, the bounds and the value.
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < at_least or (at_most is not None and value > at_most):
        bounds = f"at least {at_least}" if at_most is None else f"in [{at_least}, {at_most}]"
        kind = "" if whole else "a whole number, "
        raise ValueError(f"{name} must be {kind}{bounds}{unit and ' ' + unit}, got {value!r}")


def check_flag(name: str, value: Any) -> None:
    """Refuses what is neither True nor False, NumPy's among them.

    Raises:
        ValueError: with the name and the value.
    """
    if not is_flag(value):
        raise ValueError(f"{name} must be True or False, got {value!r}")


def is_flag(value: Any) -> bool:
    """Whether a value is True or False, NumPy's among them."""
    return type(value).__name__ in _BOOLEANS


def check_number(
    name: str,
    value: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float = math.inf,
    unit: str = "",
) -> None:
    """Refuses what is no finite number within bounds.

    Raises:
        ValueError: with the name, the bounds and the value.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    enough = is_number and (at_least is None or value >= at_least) and (above is None or value > above)
    if not enough or value > at_most:
        bounds = _bounds(at_least, above, at_most) + (unit and f" {unit}")
        kind = "" if is_number else "a finite number, "
        raise ValueError(f"{name} must be {kind}{bounds}, got {value!r}")


def _bounds(at_least: float | None, above: float | None, at_most: float) -> str:
    if above is not None:
        return f"above {above:g}" + ("" if math.isinf(at_most) else f" and at most {at_most:g}")
    if at_least is not None:
        return f"at least {at_least:g}" if math.isinf(at_most) else f"in [{at_least:g}, {at_most:g}]"
    return f"at most {at_most:g}"
