"""melbeam clean: removes what attempts left that did not end, from the splits on which no job is at work."""

from __future__ import annotations

import argparse

from melbeam.pipelines.command import Command
from melbeam.pipelines.exit_status import EXIT_OK, leave_with
from melbeam.pipelines.split.arguments import add_folder
from melbeam.transforms.folder_layout import SplitFolder

DESCRIPTION = (
    "Removes the temporary files of attempts that did not end; features, rejects and reports stay, and so do "
    "attempts that ended, which the next start of the same job takes over."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of clean."""
    add_folder(parser)


def run(arguments: argparse.Namespace, _: list[str]) -> int:
    """Removes them and says what; gives the exit status.

    Raises:
        UsageError: the folder has no split.
    """
    from melbeam.pipelines import files  # imports Beam, which the parser must not wait for
    from melbeam.pipelines.split.finding import splits_of
    from melbeam.pipelines.split.job_file import UnusableJobFile
    from melbeam.pipelines.split.lock import Locked, SplitLock

    output = files.folder_path(arguments.folder, "FOLDER")
    for folder in splits_of(output):
        try:
            with SplitLock(folder):
                print(f"split {folder.split}: {_clean(folder)}")
        except (Locked, UnusableJobFile) as error:
            print(f"split {folder.split}: left alone: {error}")
    return EXIT_OK


def _clean(folder: SplitFolder) -> str:
    """Removes a split's leftovers; gives in words what was removed, and what was kept.

    Raises:
        UnusableJobFile: it cannot be told what the next start of the split's job would take over.
    """
    from melbeam.pipelines import files, words
    from melbeam.pipelines.split.commit import files_to_take_over
    from melbeam.pipelines.split.job_file import read_job
    from melbeam.pipelines.split.leftovers import delete_gathered, delete_temporaries, half_written

    job = read_job(folder)
    kept = files_to_take_over(folder, job["hash"]) if job is not None else set()
    is_finished = files.exists(folder.summary)
    gathered = (folder.gathered_glob,) if is_finished else ()
    globs = (folder.temporaries_glob(), *folder.half_written_globs, *gathered)
    sizes = {path: size for glob in globs for path, size in files.match(glob)}
    delete_temporaries(folder, keep=kept)
    files.delete(half_written(folder))
    if is_finished:
        delete_gathered(folder)
    removed = [size for path, size in sizes.items() if path not in kept]
    said = f"{words.count(len(removed), 'temporary file')} removed, {words.size(sum(removed))}"
    if kept:
        size = sum(sizes.get(path, 0) for path in kept)
        said += f"; {len(kept)} kept, {words.size(size)}: finished shards, which the same extract takes over"
    return said


COMMAND = Command("clean", DESCRIPTION, add_arguments, run, takes_beam_options=False)
main = COMMAND.main


if __name__ == "__main__":
    leave_with(main)
