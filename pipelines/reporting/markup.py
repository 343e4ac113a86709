"""HTML made of elements: whatever is not `Html` already is text, and is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any, Union

# Control characters, halves of surrogate pairs and non-characters: HTML holds none of them.
_NO_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_MAX_CHARACTERS = 600
_EMPTY_ELEMENTS = frozenset(("br", "hr", "img", "meta"))


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = Union[str, int, None, Iterable["Child"]]


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


def escaped(text: str) -> Html:
    """The text, in which nothing is markup."""
    return Html(html.escape(_NO_CHARACTERS.sub("\ufffd", text)))


def of_data(value: str | bytes, *, kind: str = "data") -> Html:
    """What comes from a record or a path: isolated, so that right-to-left text turns nothing around it.

    More than 600 characters are cut, with the number of them all.
    """
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    if len(text) > _MAX_CHARACTERS:
        text = f"{text[:_MAX_CHARACTERS]}… ({len(text):,} characters)"
    return element("bdi", text, class_=kind)


def with_code(text: str) -> Html:
    """The text, its words in backticks as code."""
    parts = text.split("`")
    return joined([element("code", part) if number % 2 else part for number, part in enumerate(parts)])


def _attribute(name: str, value: Any) -> str:
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escaped(str(value))}"'
