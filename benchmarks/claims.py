"""A benchmark's claims are measured values beside their targets: a table, and JSON that names the machine."""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import describe

RESULTS = Path(__file__).parent / "results"
PACKAGES = ["melbeam", "tensorflow", "apache-beam", "numpy", "protobuf", "soundfile", "soxr"]


@dataclass(frozen=True)
class Claim:
    """A quantity, measured several times.

    Attributes:
        what: was measured.
        unit: of the values; empty for a ratio.
        values: of each round.
        target: that the median is held against; None for a quantity that explains others.
        at_least: whether the target is a lower bound, else it is an upper one.
    """

    what: str
    unit: str
    values: list[float]
    target: float | None = None
    at_least: bool = False

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    @property
    def is_met(self) -> bool | None:
        """Whether the median is within the target; None where there is none."""
        if self.target is None:
            return None
        return self.median >= self.target if self.at_least else self.median <= self.target

    def to_json(self) -> dict[str, Any]:
        """The claim as the results' files hold it."""
        return {
            "what": self.what,
            "unit": self.unit,
            "median": _rounded(self.median),
            "least": _rounded(min(self.values)),
            "most": _rounded(max(self.values)),
            "rounds": len(self.values),
            "target": self.target,
            "at_least": self.at_least,
            "is_met": self.is_met,
        }


def report(
    name: str,
    claims: list[Claim],
    *,
    minutes: float,
    write: bool = True,
    **more: Any,
) -> None:
    """Prints the claims, and writes `results/NAME.json`.

    Args:
        name: of the benchmark's script.
        claims: that were measured.
        minutes: that it takes at most, on an idle machine of two cores.
        write: whether the JSON is written.
        **more: what else the JSON holds.
    """
    rows = [claim.to_json() for claim in claims]
    print(f"\n| {'measured':66} | median | least to most | target |\n|{'-' * 68}|---|---|---|")
    for row in rows:
        bound = "" if row["target"] is None else f"{'>=' if row['at_least'] else '<='} {row['target']:g}"
        met = {None: "", True: ", met", False: ", NOT MET"}[row["is_met"]]
        spread = f"{row['least']:g} to {row['most']:g}"
        print(f"| {row['what']:66} | {row['median']:g} {row['unit']} | {spread} | {bound}{met} |")
    if not write:
        return
    found = {
        "command": f"python benchmarks/{name}.py",
        "at_most_minutes": minutes,
        "machine": describe(PACKAGES),
        "claims": rows,
        **more,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(found, indent=2) + "\n")
    print(f"\nwritten to {path}", file=sys.stderr)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
