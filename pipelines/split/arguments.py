"""The options that several jobs which make or read splits have alike; no Beam and no NumPy."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from melbeam.pipelines.defaults import MAX_REJECT_FRACTION

if TYPE_CHECKING:
    from melbeam.pipelines.command_line import Parser


def add_folder(parser: argparse.ArgumentParser, name: str = "folder") -> None:
    """Adds the folder of features that a job reads."""
    parser.add_argument(name, help="what melbeam extract --output wrote")


def add_not_in(parser: Parser) -> None:
    """Adds which splits' clips are left out."""
    parser.add_argument(
        "--not_in",
        metavar="SPLIT[+SPLIT...]",
        help="take only the clips whose ids are in none of these finished splits of the folder",
    )


def add_max_reject_fraction(parser: Parser) -> None:
    """Adds from which share of rejects on the exit status tells."""
    parser.add_argument(
        "--max_reject_fraction",
        type=float,
        default=MAX_REJECT_FRACTION,
        help="the exit status is 3 where a larger share of records are rejects",
    )


def add_dry_run(parser: Parser) -> None:
    """Adds the option to be shown the plan alone."""
    parser.add_argument(
        "--dry_run", action="store_true", help="only show the plan, which column is what, and the first clips"
    )
