"""melbeam clean: removes what attempts left that did not end, from the splits on which no job is at work."""

from __future__ import annotations

import argparse
import sys

from melbeam.pipelines.command import Command
from melbeam.pipelines.exit_status import EXIT_OK, UsageError
from melbeam.transforms.folder_layout import SplitFolder, of_all_splits

DESCRIPTION = "Removes the temporary files of dead attempts; features, rejects and reports stay."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of clean."""
    parser.add_argument("folder", help="what melbeam extract --output wrote")


def run(arguments: argparse.Namespace, _: list[str]) -> int:
    """Removes them and says what; gives the exit status.

    Raises:
        UsageError: the folder has no split.
    """
    from melbeam.pipelines import files  # imports Beam, which the parser must not wait for
    from melbeam.pipelines.split.leftovers import delete_temporaries, half_written
    from melbeam.pipelines.split.lock import Locked, SplitLock

    output = arguments.folder.rstrip("/")
    jobs = [path for path, _ in files.match(of_all_splits(output, "job.json"))]
    if not jobs:
        raise UsageError(f"{output} has no _melbeam/*/job.json: melbeam extract did not write it")
    for path in jobs:
        folder = SplitFolder.holding(path)
        try:
            with SplitLock(folder):
                globs = (folder.temporaries_glob(), *folder.half_written_globs)
                found = [file for glob in globs for file in files.match(glob)]
                delete_temporaries(folder)
                files.delete(half_written(folder))
        except Locked as error:
            print(f"split {folder.split}: left alone: {error}")
            continue
        size = sum(size for _, size in found)
        print(f"split {folder.split}: {len(found)} temporary files removed, {size / 2**20:.1f} MiB")
    return EXIT_OK


COMMAND = Command("clean", DESCRIPTION, add_arguments, run, takes_beam_options=False)
main = COMMAND.main


if __name__ == "__main__":
    sys.exit(main())
