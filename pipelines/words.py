"""Words for people: durations, sizes and counts as one would say them, and text that no terminal obeys."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence

# Kinds of characters that a terminal obeys or hides in place of showing them, and line and paragraph separators.
_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")
# Two of them that Persian, Hindi and emoji are spelled with.
_JOINERS = "\u200c\u200d"
_ENDS = re.compile("([\n\t])")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def say(text: str) -> None:
    """Says something of a job to its user, on standard error; names in it can do no harm to a terminal."""
    print(harmless_lines(f"melbeam: {text}"), file=sys.stderr)


def warn(text: str) -> None:
    """Says, likewise, what may be wrong."""
    say(f"warning: {text}")


def duration(seconds: float) -> str:
    """Seconds in words, with at most two units: 3.8 s, 4 min 10 s, 18 h 9 min, 12 d 3 h."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if (whole := round(seconds)) < 3600:
        return _two_units(whole, 60, "min", "s")
    if (whole := round(seconds / 60)) < 48 * 60:
        return _two_units(whole, 60, "h", "min")
    return _two_units(round(seconds / 3600), 24, "d", "h")


def _two_units(total: int, of_the_large: int, large: str, small: str) -> str:
    whole, rest = divmod(total, of_the_large)
    return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"


def size(num_bytes: float) -> str:
    """Bytes in words, in the binary unit that gives at most four digits: 512 B, 3.1 GiB."""
    value, unit = float(num_bytes), 0
    while value >= 1023.95 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{value:.0f} {_UNITS[unit]}"


def count(number: int, what: str) -> str:
    """A number and its noun, plural where it is not one: 1 shard, 16 shards."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def named(ids: Iterable[str], total: int) -> str:
    """The first ids of many: `a, b` where these are all, `for example a, b` where there are more."""
    listed = [harmless(one) for one in ids]
    return ("for example " if len(listed) < total else "") + ", ".join(listed)


def first_few(items: Sequence[str], most: int) -> str:
    """The first of some items, and how many more there are: `a, b and 5 more`."""
    more = len(items) - most
    return ", ".join(items[:most]) + (f" and {more} more" if more > 0 else "")


def harmless(text: str | bytes) -> str:
    """Text that came with somebody's data, for a terminal: what that would obey or hide is written as an escape.

    So neither colours, the cursor, the window's title nor the direction of what follows can be changed by an id
    or a transcript. Bytes are UTF-8; those that are not, escapes too.
    """
    if isinstance(text, bytes):
        text = text.decode(errors="backslashreplace")
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _OBEYED and character not in _JOINERS
        else character
        for character in text
    )


def harmless_lines(text: str) -> str:
    """Several lines for a terminal, each of them `harmless`, with their tabs."""
    return "".join(part if part in "\n\t" else harmless(part) for part in _ENDS.split(text))
