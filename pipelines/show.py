"""melbeam show: records of a folder of features in the terminal, with their log-mel drawn in characters."""

from __future__ import annotations

import argparse
import warnings
from typing import TYPE_CHECKING

from melbeam.pipelines import words
from melbeam.pipelines.command import Command
from melbeam.pipelines.exit_status import EXIT_FAILED, EXIT_OK, leave_with
from melbeam.pipelines.folder_names import file_to_write, folder_path
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.split.arguments import add_folder

if TYPE_CHECKING:
    import numpy as np

    from melbeam.pipelines.showing.drawing import Screen
    from melbeam.transforms.front_end import FrontEnd
    from melbeam.transforms.reading.records import FolderRecords

DESCRIPTION = (
    "Shows a record of a folder of features: its fields, and its log-mel drawn in characters, in colour on a "
    "terminal that has some (unless NO_COLOR is set). Without a record, the first ones of the split."
)
_SHOWN = 3
_LONGEST_TITLE, _DPI = 80, 130  # characters; dots an inch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of show."""
    add_folder(parser)
    parser.add_argument(
        "record", nargs="?", help="the record's id, or its number: '#0' is the split's first ('##0' is the id #0)"
    )
    parser.add_argument(
        "--split", help="the name of the split, or a slice of it, train[100:200] (default: the only one, or train)"
    )
    parser.add_argument("--limit", type=int, default=_SHOWN, help="how many records to show where none is named")
    parser.add_argument("--png", metavar="FILE", help="also draw the record into this file; needs melbeam[report]")


def run(arguments: argparse.Namespace, _: list[str]) -> int:
    """Shows them; gives the exit status, 1 where one of them is damaged.

    Raises:
        UsageError: there is no such folder, split or record.
    """
    from melbeam.pipelines.showing.drawing import Screen
    from melbeam.pipelines.showing.finding import number_of, open_folder, without_records
    from melbeam.transforms.reading.records import FolderRecords
    from melbeam.transforms.records.schema import TENSOR

    if arguments.limit < 1:
        raise UsageError(Refusal.BAD_VALUE, f"--limit must be at least 1, got {arguments.limit}")
    png = file_to_write(arguments.png, "--png")
    folder, screen = open_folder(folder_path(arguments.folder, "FOLDER"), arguments.split), Screen.of()
    if folder.schema.mixed:
        mixed = ", ".join(sorted(folder.schema.mixed))
        _say(screen, f"not shown, since their values are of several types: {mixed}")
    records = FolderRecords(folder, [TENSOR, *folder.schema.fields], for_a_model=False)
    try:
        if arguments.record is None:
            numbers = list(range(min(1 if png else arguments.limit, len(records))))
        else:
            numbers = [number_of(records, arguments.record)]
        for number in numbers:
            _show(records, number, arguments.split, screen, png)
    except UsageError:
        raise
    except ValueError as error:  # a damaged shard, which the message names
        words.say(screen.writable(str(error)))
        return EXIT_FAILED
    if not numbers:
        _say(screen, without_records(folder))
    if arguments.record is None and len(numbers) < len(records):
        _say(screen, f"\n{len(numbers)} of {len(records)} records; melbeam show {folder.path} '#{len(numbers)}'")
    return EXIT_OK


def _show(records: FolderRecords, number: int, split: str | None, screen: Screen, png: str | None) -> None:
    from melbeam.pipelines.showing.drawing import draw
    from melbeam.pipelines.showing.fields import field_lines
    from melbeam.transforms.records.schema import TENSOR

    record, front_end = records.read(number), records.folder.front_end
    asked = split or records.folder.ranges[0].split
    _say(screen, f"#{number} of {asked} in {records.folder.path}, front end {words.harmless(front_end.name)}")
    for line in field_lines(record, records.folder.schema.fields):
        _say(screen, line)
    valid = record[TENSOR][: int(record["num_frames"])]
    frames_per_second = front_end.sampling_rate / front_end.hop_length
    for line in draw(valid, frames_per_second, screen) if len(valid) else ():
        _say(screen, line)
    if png is not None:
        _write_png(png, valid, front_end, words.harmless(record["id"]))
        _say(screen, f"drawn into {png}")


def _write_png(path: str, features: np.ndarray, front_end: FrontEnd, title: str) -> None:
    """Draws a clip into a file.

    Raises:
        UsageError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    try:
        from melbeam.transforms.plots import spectrogram
    except ImportError as error:
        raise UsageError(
            Refusal.NO_PACKAGE, f"--png draws with matplotlib: pip install 'melbeam[report]' ({error})"
        ) from error
    title = title if len(title) <= _LONGEST_TITLE else f"{title[:_LONGEST_TITLE]}..."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of characters that its font lacks
        spectrogram(features, front_end, title=title).savefig(path, format="png", dpi=_DPI, facecolor="white")


def _say(screen: Screen, text: str) -> None:
    print(screen.writable(text))


COMMAND = Command("show", DESCRIPTION, add_arguments, run, takes_beam_options=False)
main = COMMAND.main

if __name__ == "__main__":
    leave_with(main)
