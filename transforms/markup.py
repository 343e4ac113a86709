"""HTML made of elements: whatever is not `Html` already is text, and is escaped."""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Iterable
from typing import Any

# Control characters, halves of surrogate pairs and non-characters: HTML holds none of them.
_NO_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_MAX_CHARACTERS = 600
_MAX_OF_ID = 48
_MAX_OF_SHORT_CODE = 28
_EMPTY_ELEMENTS = frozenset(("br", "hr", "img", "meta", "wbr"))


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | int | None | Iterable["Child"]


def element(name: str, /, *children: Child, **attributes: Any) -> Html:
    """An element.

    Args:
        name: of the element.
        children: `Html` as it is, other text escaped, numbers, nothing for None, and any nesting of these.
        attributes: an underscore at the end of a name is left out, others become dashes; None and False are left
            out, True stands alone.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items() if value not in (None, False))
    if name in _EMPTY_ELEMENTS:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{joined(children)}</{name}>")


def joined(children: Child) -> Html:
    """Children as `element` takes them, one behind the other."""
    if children is None:
        return Html()
    if isinstance(children, Html):
        return children
    if isinstance(children, (str, int)):
        return escaped(str(children))
    return Html("".join(map(joined, children)))


def listed(items: Iterable[Child], between: Child = ", ") -> Html:
    """The items one behind the other, with something between each two."""
    return joined([[between if number else None, item] for number, item in enumerate(items)])


def escaped(text: str) -> Html:
    """The text, in which nothing is markup."""
    return Html(html.escape(_NO_CHARACTERS.sub("\ufffd", text)))


def of_data(value: str | bytes, *, kind: str = "data", most: int = _MAX_CHARACTERS) -> Html:
    """What comes from a record or a path: isolated, so that right-to-left text turns nothing around it.

    Args:
        value: the text.
        kind: its class.
        most: characters that are shown; of a longer text the beginning, and how long it is.
    """
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    if len(text) <= most:
        return element("bdi", _breakable(text), class_=kind)
    length = element("small", f" ({len(text):,} characters)")
    return joined([element("bdi", _breakable(text[:most] + "…"), class_=kind), length])


def of_id(value: str) -> Html:
    """A record's id among other words: of a long one both ends, which tell it from its neighbours."""
    half = _MAX_OF_ID // 2
    text = value if len(value) <= _MAX_OF_ID else f"{value[:half]}…{value[-half:]}"
    return element("bdi", _breakable(text), class_="data id")


def of_command(*arguments: str) -> Html:
    """A command as it is typed, quoted for a shell; its lines are broken between arguments."""
    parts = [element("span", _breakable(shlex.quote(argument))) for argument in arguments]
    return element("code", listed(parts, " "), class_="command")


def _breakable(text: str) -> Html:
    """The text, escaped, in which a path's line may be broken behind each slash."""
    return Html(escaped(text).replace("/", "/<wbr>"))


def with_code(text: str) -> Html:
    """The text, its words in backticks as code; short code stays on one line."""
    parts = text.split("`")
    return joined(
        [
            element("code", part, class_="short" if len(part) <= _MAX_OF_SHORT_CODE else None)
            if number % 2
            else part
            for number, part in enumerate(parts)
        ]
    )


def _attribute(name: str, value: Any) -> str:
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escaped(str(value))}"'
