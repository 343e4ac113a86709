"""melbeam retry-rejects: a split's rejects through extract again; what passes is a split of its own.

The new split, NAME_retried, leaves every promise about the first one as it was: its shards, its counts and its
bytes. Readers take both, `train+train_retried` in TFDS.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields

from melbeam.pipelines import extract, files, options
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.options import RecordOptions

DESCRIPTION = (
    "Takes a split's rejects through extract again, with the front end and the options that the split was made "
    "with, and those given here (--on_long=chunk, for example); what passes becomes the split NAME_retried."
)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; gives the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    made_with: dict[str, object] = {}

    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("folder", help="what melbeam extract --output wrote")
        extract.add_split_arguments(parser)
        parser.set_defaults(**made_with)

    def run() -> int:
        def parse() -> tuple[argparse.Namespace, list[str]]:
            return options.parse(add_arguments, "melbeam retry-rejects", DESCRIPTION, argv)

        asked, _ = parse()  # for the split, whose options are the defaults
        folder = SplitFolder(asked.folder.rstrip("/"), asked.split)
        made_with.update(_of_the_split(folder))
        arguments, beam_arguments = parse()
        arguments.input, arguments.output = [_rejects(folder)], folder.output
        arguments.split = f"{folder.split}_retried"
        return extract.run(arguments, beam_arguments)

    return options.exit_status(run)


def _of_the_split(folder: SplitFolder) -> dict[str, object]:
    """The split's own front end and options.

    Raises:
        UsageError: there is no such finished split.
    """
    if not files.exists(folder.summary):
        raise options.UsageError(f"{folder.output} has no finished split {folder.split!r}: extract it first")
    job = files.read_json(folder.job)
    made_with = {field.name: job["identity"][field.name] for field in fields(RecordOptions)}
    return {**made_with, "front_end": FrontEnd.from_dict(job["front_end"])}


def _rejects(folder: SplitFolder) -> str:
    """The glob of the split's rejects.

    Raises:
        UsageError: it has none.
    """
    if not files.match(folder.rejects_glob):
        raise options.UsageError(f"split {folder.split!r} of {folder.output} has no rejects")
    return folder.rejects_glob


if __name__ == "__main__":
    sys.exit(main())
