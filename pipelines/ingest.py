"""melbeam ingest: a folder of audio files to audio TFRecords, the bytes of each file unchanged.

Its options are here; what it does with them is in `ingesting`, which is imported once they are parsed.
"""

from __future__ import annotations

import argparse

from melbeam.pipelines.command import Command
from melbeam.pipelines.exit_status import leave_with

DESCRIPTION = "Audio files in, audio TFRecords out; `melbeam extract` reads them."
EXTENSIONS = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ingest."""
    parser.add_argument(
        "--input", required=True, action="append", help="glob of audio files, 'clips/**'; may be repeated"
    )
    parser.add_argument("--output", required=True, help="folder of the audio TFRecords")
    parser.add_argument("--split", default="train", help="name of the split")
    parser.add_argument("--num_shards", type=int, default=16, help="files to write, at most one a clip")
    parser.add_argument("--overwrite", action="store_true", help="replace the split if it is there already")
    parser.add_argument("--limit", type=int, help="clips to take at most, the first in the order of their paths")
    parser.add_argument("--dry_run", action="store_true", help="show the plan; do nothing")


def run(arguments: argparse.Namespace, beam_arguments: list[str]) -> int:
    """Runs the job; gives the exit status.

    Raises:
        UsageError: the call was wrong, or the split is there already.
    """
    from melbeam.pipelines.ingesting import launcher  # imports Beam, which the parser must not wait for

    return launcher.run(arguments, beam_arguments, EXTENSIONS)


COMMAND = Command("ingest", DESCRIPTION, add_arguments, run)
main = COMMAND.main


if __name__ == "__main__":
    leave_with(main)
