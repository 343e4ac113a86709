"""Writes the tables of docs/records.md, docs/cli.md and docs/errors.md anew, from the code that they describe.

    python scripts/reference_docs.py

A test compares them, so that no table tells another story than the code.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from melbeam.pipelines import cli
from melbeam.pipelines.refusals import ROOMS, Refusal
from melbeam.transforms.records.rejects import REASONS
from melbeam.transforms.records.schema import AUDIO_RECORD, FEATURE_RECORD, REJECT_RECORD, markdown_table
from melbeam.transforms.records.table import COLUMNS

DOCS = Path(__file__).parents[1] / "docs"


def tables() -> dict[str, dict[str, str]]:
    """The tables of each page, by the names of their places."""
    reasons = ["| reason | what it means | what to do |", "|---|---|---|"]
    reasons += [f"| `{name}` | {reason.meaning} | {reason.advice} |" for name, reason in REASONS.items()]
    columns = ["| column | type | |", "|---|---|---|"]
    columns += [f"| `{column.name}` | {column.type} | {column.meaning} |" for column in COLUMNS]
    records = {
        "audio record": markdown_table("audio record, in", AUDIO_RECORD),
        "feature record": markdown_table("feature record, out", FEATURE_RECORD),
        "reject record": markdown_table("reject record", REJECT_RECORD),
        "reject reasons": "\n".join(reasons),
        "columns of tables": "\n".join(columns),
    }
    options = {f"options of {name}": options_table(name) for name in cli.JOBS}
    refusals = {f"refusals {room}": refusals_table(room) for room in ROOMS}
    return {"records.md": records, "cli.md": options, "errors.md": refusals}


def refusals_table(room: str) -> str:
    """The refusals of a room: code, meaning, advice; under a heading, with a place that a link can name."""
    rows = [f"## {ROOMS[room]}", "", "| code | what was met | what to do |", "|---|---|---|"]
    rows += [
        f'| <a id="{refusal.code}"></a>`{refusal.code}` | {refusal.meaning} | {refusal.advice} |'
        for refusal in Refusal
        if refusal.code.startswith(f"MB{room}")
    ]
    return "\n".join(rows)


def options_table(job: str) -> str:
    """The options of a job of `melbeam`: spelling, default, meaning."""
    rows = [f"| option of `{job}` | default | meaning |", "|---|---|---|"]
    for name, action in cli.command_of(job).parser.options.items():
        if name == "help":
            continue
        spelling = ", ".join(f"`{one}`" for one in action.option_strings) or f"`{name}`"
        if action.choices:
            spelling += ": " + ", ".join(f"`{choice}`" for choice in action.choices)
        rows.append(f"| {spelling} | {_default(action)} | {action.help} |")
    return "\n".join(rows)


def _default(action: argparse.Action) -> str:
    """As a table shows it."""
    if action.required:
        return "required"
    if action.default is False:
        return "off"
    return "" if action.default in (None, argparse.SUPPRESS) else f"`{action.default}`"


def filled(page: str, text: str) -> str:
    """The page with its tables as they should be.

    Raises:
        ValueError: the page has no place for one of them.
    """
    for name, table in tables()[page].items():
        place = re.compile(rf"<!-- {name} -->\n.*?<!-- /{name} -->", re.DOTALL)
        if not place.search(text):
            raise ValueError(f"docs/{page} has no place <!-- {name} --> ... <!-- /{name} -->")
        text = place.sub(lambda _, of=name, rows=table: f"<!-- {of} -->\n{rows}\n<!-- /{of} -->", text)
    return text


if __name__ == "__main__":
    for page in tables():
        path = DOCS / page
        path.write_text(filled(page, path.read_text(encoding="utf-8")), encoding="utf-8")
