"""What messages of all floors have alike: how they quote other packages' errors, and what may have been meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST_ERROR = 300  # characters of what another package says


def in_one_line(error: object, *, most: int = _LONGEST_ERROR) -> str:
    """Gives the words of another package's error in one line, so many characters of them at most."""
    return " ".join(str(error).split())[:most]


def nearest(given: str, known: Iterable[str]) -> str | None:
    """Returns the known name that a mistyped one is most like; None where none is like it."""
    near = difflib.get_close_matches(given, known, n=1)
    return near[0] if near else None
