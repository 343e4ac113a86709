"""melbeam presets: the shipped front ends and the built-in presets, or what one of them is."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence

from melbeam.pipelines.command import Command
from melbeam.pipelines.exit_status import EXIT_OK, leave_with
from melbeam.pipelines.front_ends import front_end_or_refusal
from melbeam.transforms.front_end import DEFAULT_FRONT_END, FrontEnd
from melbeam.transforms.presets import BuiltInPreset, built_in

DESCRIPTION = (
    "Lists the shipped front ends and the built-in presets; with a name, a file or a handle, prints that front "
    "end as YAML."
)


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
        front_end = front_end_or_refusal(arguments.handle)
        print(f"# fingerprint: {front_end.fingerprint}\n{front_end.to_yaml()}", end="")
        return EXIT_OK
    for line in (*front_end_lines(FrontEnd.shipped()), "", *preset_lines(list(built_in().values()))):
        print(line)
    return EXIT_OK


def front_end_lines(names: Sequence[str]) -> Iterator[str]:
    """A table of shipped front ends."""
    width = max(len(name) for name in names)
    yield f"{'front end':{width}}  {'fingerprint':16}  {'mels':>4}  {'Hz':>5}  {'longest':>7}  the model takes"
    for name in names:
        found = FrontEnd.load(name)
        longest = "any" if found.max_audio_length is None else f"{found.max_audio_length:g} s"
        takes = "the full length" if found.takes_full_length else "a mask"
        takes += ", the default" if name == DEFAULT_FRONT_END else ""
        yield (
            f"{name:{width}}  {found.short_fingerprint}  {found.num_mels:4}  {found.sampling_rate:5}  "
            f"{longest:>7}  {takes}"
        )


def preset_lines(presets: Sequence[BuiltInPreset]) -> Iterator[str]:
    """A table of built-in presets, each a model with its front end."""
    width = max(len(preset.name) for preset in presets)
    yield f"{'preset':{width}}  {'parameters':>10}  {'front end':9}  description"
    for preset in presets:
        parameters = f"{preset.parameters / 1e6:,.0f} M"
        description = re.split("[:.(]| with ", preset.description)[0].strip()
        yield f"{preset.name:{width}}  {parameters:>10}  {preset.front_end or 'no audio':9}  {description}"


COMMAND = Command("presets", DESCRIPTION, add_arguments, run, takes_beam_options=False)
main = COMMAND.main


if __name__ == "__main__":
    leave_with(main)
