"""How messages quote the errors of other packages."""

from __future__ import annotations

_LONGEST_ERROR = 300  # characters of what another package says


def in_one_line(error: object, *, most: int = _LONGEST_ERROR) -> str:
    """Gives the words of another package's error in one line, so many characters of them at most."""
    return " ".join(str(error).split())[:most]
