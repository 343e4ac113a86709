"""Where two JSON values differ."""

from __future__ import annotations

from typing import Any

_MAX_OF_A_LIST = 5
_MAX_CHARACTERS = 80


def differences(found: Any, expected: Any, counted: str = "the reports come to", place: str = "") -> list[str]:
    """The places where two JSON values differ, each with both values; of a list the first few.

    Args:
        found: what a file says.
        expected: what it should say.
        counted: what gave the expected value, in words.
        place: of the two values in the file, `fields.text` for example.
    """
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = sorted({*found, *expected}, key=str)
        return [
            difference
            for key in keys
            for difference in differences(
                found.get(key), expected.get(key), counted, f"{place}.{key}" if place else str(key)
            )
        ]
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        listed = [d for i, (f, e) in pairs for d in differences(f, e, counted, f"{place}[{i}]")]
        return listed[:_MAX_OF_A_LIST]
    if found == expected:
        return []
    return [f"{place} is {str(found)[:_MAX_CHARACTERS]}, {counted} {str(expected)[:_MAX_CHARACTERS]}"]
