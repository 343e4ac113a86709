"""melbeam ingest: clips, from whatever they are kept in, to audio TFRecords; the bytes of each file unchanged.

Its options are here; what it does with them is in `ingesting`, which is imported once they are parsed.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from melbeam.pipelines.command import Command
from melbeam.pipelines.defaults import SPLITS_EXAMPLE
from melbeam.pipelines.exit_status import leave_with
from melbeam.pipelines.sources.arguments import add_shard_bytes, add_source_arguments
from melbeam.pipelines.split.arguments import add_dry_run, add_max_reject_fraction, add_not_in

if TYPE_CHECKING:
    from melbeam.pipelines.command_line import Parser

DESCRIPTION = (
    "Writes a corpus, whatever it is kept in, as audio TFRecords, which `melbeam extract` reads. Takes Beam's own "
    "options too."
)


def add_arguments(parser: Parser) -> None:
    """The options of ingest."""
    add_source_arguments(parser)
    parser.add_argument("--output", required=True, help="the folder of the audio TFRecords")
    parser.add_argument(
        "--split",
        default="train",
        help=f"the name of the split, or several with the fraction of clips that each gets: {SPLITS_EXAMPLE}",
    )
    parser.add_argument(
        "--split_by",
        default="id",
        metavar="COLUMN",
        help="the column whose hash decides a clip's split, so that the clips of one speaker stay together",
    )
    parser.add_argument(
        "--shuffle_seed", type=int, metavar="N", help="write the clips in a random order, the same for each N"
    )
    add_not_in(parser)
    parser.add_argument(
        "--num_shards",
        type=int,
        help="how many files each split gets, at most one for each clip (default: by --shard_bytes)",
    )
    add_shard_bytes(parser, "about how many bytes of input become a shard")
    add_max_reject_fraction(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the split if it is there already")
    parser.add_argument(
        "--limit", type=int, help="how many clips to take at most, the first in the order of their paths"
    )
    add_dry_run(parser)


def run(arguments: argparse.Namespace, beam_arguments: list[str]) -> int:
    """Runs the job; gives the exit status.

    Raises:
        UsageError: the call was wrong, or the output folder was refused.
    """
    from melbeam.pipelines.ingesting import launcher  # imports Beam, which the parser must not wait for

    return launcher.run(arguments, beam_arguments)


COMMAND = Command("ingest", DESCRIPTION, add_arguments, run)
main = COMMAND.main

if __name__ == "__main__":
    leave_with(main)
