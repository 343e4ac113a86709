"""melbeam report: one page about a folder of features, to be looked at in a browser.

What it shows is in `pipelines.reporting`.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from melbeam.pipelines import words
from melbeam.pipelines.command import Command
from melbeam.pipelines.command_line import check_split, list_of
from melbeam.pipelines.exit_status import EXIT_OK, leave_with
from melbeam.pipelines.folder_names import file_to_write
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.split.arguments import add_folder
from melbeam.transforms.folder_layout import REPORT_PAGE

if TYPE_CHECKING:
    from melbeam.pipelines.command_line import Parser

DESCRIPTION = (
    "Writes FOLDER/report.html: warnings, figures, rejects, distributions and a dozen clips as pictures, in one "
    "file that needs no network. It is made of the shards' own reports; only the pictured clips are read."
)


def add_arguments(parser: Parser) -> None:
    """The options of report."""
    add_folder(parser)
    parser.add_argument("other", nargs="?", help="another such folder, shown beside it")
    parser.add_argument(
        "--split",
        action="append",
        help="a split of each folder to show; may be repeated (default: all of them, four at most)",
    )
    parser.add_argument(
        "--audio",
        action="store_true",
        help="put the sound of the pictured clips into the page, where their source is at hand",
    )
    parser.add_argument("--output", help=f"the file to write (default: {REPORT_PAGE} in the folder)")


def run(arguments: argparse.Namespace, _: list[str]) -> int:
    """Writes the page and says where it is; gives the exit status.

    Raises:
        UsageError: the call was wrong, or there is nothing to show.
    """
    from melbeam.pipelines import files  # imports Beam, which the parser must not wait for
    from melbeam.pipelines.reporting.parts import find_parts
    from melbeam.pipelines.reporting.remarks import remarks_on

    output = file_to_write(arguments.output, "--output")
    splits = list_of(arguments.split or [])
    for split in splits:
        check_split(split)
    folders = [folder for folder in (arguments.folder, arguments.other) if folder is not None]
    parts = find_parts(folders, splits)
    try:
        from melbeam.pipelines.reporting.page import make_page
    except ImportError as error:
        raise UsageError(
            Refusal.NO_PACKAGE, f"melbeam report draws with matplotlib: pip install 'melbeam[report]' ({error})"
        ) from error

    page = make_page(parts, with_audio=arguments.audio)
    target = output or f"{parts[0].folder.output}/{REPORT_PAGE}"
    content = page.encode()
    files.write_bytes(target, content)
    print(f"{target}: {words.count(len(parts), 'split')}, {words.size(len(content))}")
    for part in parts:
        name = f"{part.label}: " if len(parts) > 1 else ""
        for remark in remarks_on(part):
            if remark.is_warning:
                print(words.harmless(f"  {name}{remark.text.replace('`', '')}"))
    return EXIT_OK


COMMAND = Command("report", DESCRIPTION, add_arguments, run, takes_beam_options=False)
main = COMMAND.main


if __name__ == "__main__":
    leave_with(main)
