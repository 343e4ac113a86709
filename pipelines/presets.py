"""melbeam presets: the built-in presets, or what one preset or front end is."""

from __future__ import annotations

import argparse
import re
import sys

from melbeam.pipelines.command import Command
from melbeam.pipelines.exit_status import EXIT_OK, UsageError
from melbeam.transforms.presets import built_in, find_front_end

DESCRIPTION = "Lists the built-in presets; with a name, a file or a handle, prints that front end as YAML."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of presets."""
    parser.add_argument(
        "handle", nargs="?", help="a shipped or built-in name, a YAML file, a folder, hf://... or kaggle://..."
    )


def run(arguments: argparse.Namespace, _: list[str]) -> int:
    """Prints them; gives the exit status.

    Raises:
        UsageError: nothing is called so.
    """
    if arguments.handle is not None:
        try:
            front_end = find_front_end(arguments.handle)
        except ValueError as error:
            raise UsageError(str(error)) from error
        print(f"# fingerprint: {front_end.fingerprint}\n{front_end.to_yaml()}", end="")
        return EXIT_OK
    presets = built_in().values()
    width = max(len(preset.name) for preset in presets)
    print(f"{'preset':{width}}  {'parameters':>10}  {'front end':9}  description")
    for preset in presets:
        parameters = f"{preset.parameters / 1e6:,.0f} M"
        print(
            f"{preset.name:{width}}  {parameters:>10}  {preset.front_end or 'no audio':9}  "
            f"{re.split('[:.(]| with ', preset.description)[0].strip()}"
        )
    return EXIT_OK


COMMAND = Command("presets", DESCRIPTION, add_arguments, run, takes_beam_options=False)
main = COMMAND.main


if __name__ == "__main__":
    sys.exit(main())
