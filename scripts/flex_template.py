"""Writes deploy/flex_template.json, the flex template's metadata, from the options of `melbeam extract`.

    python scripts/flex_template.py

A test holds the file against what this makes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from melbeam.pipelines import extract

PATH = Path(__file__).parents[1] / "deploy/flex_template.json"
# A launcher is no place to show a plan, and --config is a file of the machine that submits.
LEFT_OUT = ("help", "dry_run", "config", "verbose")
# Beam's, that a launch of this template needs.
BEAMS = {"sdk_container_image": "image of the workers: the one that this template was built with"}

_GLOB, _FOLDER = r"^gs://[a-z0-9][a-z0-9._-]+/.+$", r"^gs://[a-z0-9][a-z0-9._-]+(/[^*?\[\]]+)?$"
_WHOLE, _NUMBER = r"^[1-9][0-9]*$", r"^([1-9][0-9]*|0)(\.[0-9]+)?$"
_FLAG = r"^(true|false)$"
PATTERNS = {
    "input": _GLOB,
    "output": _FOLDER,
    "split": r"^[A-Za-z0-9_]+$",
    "dataset_name": r"^[a-z][a-z0-9_]*$",
    "front_end": r"^[A-Za-z0-9_.:/@-]+$",
    "pcm_sampling_rate": _WHOLE,
    "max_audio_seconds": _NUMBER,
    "max_record_bytes": _WHOLE,
    "cut_tolerance_seconds": _NUMBER,
    "min_seconds": _NUMBER,
    "chunk_seconds": _NUMBER,
    "chunk_overlap_seconds": _NUMBER,
    "channel": r"^(mean|[0-9]+)$",
    "not_in": r"^[A-Za-z0-9_]+([+,][A-Za-z0-9_]+)*$",
    "shard_bytes": _WHOLE,
    "columns": r"^[^=,]+=[^=,]+(,[^=,]+=[^=,]+)*$",
    "root": _FOLDER,
    "encoding_of_text": r"^[A-Za-z0-9_-]+$",
    "max_convert_seconds": _NUMBER,
    "max_reject_fraction": r"^(0(\.[0-9]+)?|1(\.0+)?)$",
    "limit": _WHOLE,
    "normalize_by": r"^[^ ]+$",
    "sdk_container_image": r"^[^ ]+$",
}


def metadata() -> dict[str, Any]:
    """The metadata, as Dataflow's flex templates have it."""
    options = extract.COMMAND.parser.options
    actions = [action for name, action in options.items() if name not in LEFT_OUT]
    parameters = [_parameter(a.dest, str(a.help), a.required, _pattern(a), _default(a)) for a in actions]
    parameters += [_parameter(name, text, True, PATTERNS[name], None) for name, text in BEAMS.items()]
    return {"name": "melbeam extract", "description": extract.DESCRIPTION, "parameters": parameters}


def _parameter(name: str, text: str, required: bool, pattern: str, default: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": name,
        "label": name,
        "helpText": text,
        "isOptional": not required,
        "paramType": "TEXT",
        "regexes": [pattern],
    }
    if default is not None:
        found["defaultValue"] = default
    return found


def _pattern(action: argparse.Action) -> str:
    if action.choices:
        return f"^({'|'.join(action.choices)})$"
    return _FLAG if action.nargs == 0 else PATTERNS[action.dest]


def _default(action: argparse.Action) -> str | None:
    if action.nargs == 0:
        return "false"
    return (
        None
        if action.default is None
        else f"{action.default:g}"
        if isinstance(action.default, float)
        else str(action.default)
    )


if __name__ == "__main__":
    PATH.write_text(json.dumps(metadata(), indent=2) + "\n", encoding="utf-8")
