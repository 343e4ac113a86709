"""What a notebook shows of an object that is the last line of a cell: a small table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from melbeam.transforms.markup import Child, Html, element, of_data

_LEFT = "text-align: left"


def table(title: Child, rows: Mapping[str, Any]) -> Html:
    """A table of names and values, with a caption; what is not `Html` already is taken as data.

    Args:
        title: above it.
        rows: name to value, in order.
    """
    body = [
        element(
            "tr",
            element("th", name, scope="row", style=_LEFT),
            element("td", value if isinstance(value, Html) else of_data(str(value)), style=_LEFT),
        )
        for name, value in rows.items()
    ]
    return element("table", element("caption", title, style=_LEFT), element("tbody", body))
