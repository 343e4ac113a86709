"""Writes the tables of docs/records.md anew, from the records' schema and the reject reasons.

    python scripts/reference_docs.py

A test compares them, so that no table tells another story than the code.
"""

from __future__ import annotations

import re
from pathlib import Path

from melbeam.transforms.records.rejects import REASONS
from melbeam.transforms.records.schema import AUDIO_RECORD, FEATURE_RECORD, REJECT_RECORD, markdown_table

RECORDS = Path(__file__).parents[1] / "docs" / "records.md"


def tables() -> dict[str, str]:
    """The tables of docs/records.md, by the names of their places."""
    reasons = ["| reason | what it means | what to do |", "|---|---|---|"]
    reasons += [f"| `{name}` | {reason.meaning} | {reason.advice} |" for name, reason in REASONS.items()]
    return {
        "audio record": markdown_table("audio record, in", AUDIO_RECORD),
        "feature record": markdown_table("feature record, out", FEATURE_RECORD),
        "reject record": markdown_table("reject record", REJECT_RECORD),
        "reject reasons": "\n".join(reasons),
    }


def filled(text: str) -> str:
    """The page with its tables as they should be.

    Raises:
        ValueError: the page has no place for one of them.
    """
    for name, table in tables().items():
        place = re.compile(rf"<!-- {name} -->\n.*?<!-- /{name} -->", re.DOTALL)
        if not place.search(text):
            raise ValueError(f"{RECORDS} has no place <!-- {name} --> ... <!-- /{name} -->")
        text = place.sub(lambda _, of=name, rows=table: f"<!-- {of} -->\n{rows}\n<!-- /{of} -->", text)
    return text


if __name__ == "__main__":
    RECORDS.write_text(filled(RECORDS.read_text(encoding="utf-8")), encoding="utf-8")
