"""melbeam verify: does a folder of features, or of audio, hold what it says, and all that it should?

What is looked for is in `pipelines.verifying`; with --against, records are also recomputed by a reference.
"""

from __future__ import annotations

import argparse
import os
from glob import escape

from melbeam.pipelines import words
from melbeam.pipelines.command import Command
from melbeam.pipelines.exit_status import EXIT_FAILED, EXIT_OK, leave_with
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.verifying import FILES_OF_A_SPLIT, REFERENCE_PACKAGES
from melbeam.transforms.folder_layout import DATASET_INFO, FRONT_END, folder_kept_in, of_all_splits, shards_of

DESCRIPTION = (
    "Checks a folder of features, or of audio that ingest wrote: every checksum, count, shape, id and number in "
    "its metadata."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of verify."""
    parser.add_argument("folder", help="what melbeam extract --output wrote, or melbeam ingest")
    parser.add_argument(
        "--against", choices=REFERENCE_PACKAGES, help="recompute records with this package's own converter"
    )
    parser.add_argument("--sample", type=int, default=100, help="how many records of each split to recompute")


def run(arguments: argparse.Namespace, _: list[str]) -> int:
    """Checks the folder and prints what was found; gives the exit status.

    Raises:
        UsageError: there is no such folder, or the reference cannot be run.
    """
    from melbeam.pipelines import files  # imports Beam, which the parser must not wait for
    from melbeam.pipelines.split.finding import why_no_features
    from melbeam.pipelines.verifying.comparison import compare
    from melbeam.pipelines.verifying.folder import verify_folder

    output = files.folder_path(arguments.folder, "FOLDER")
    if arguments.sample < 1:
        raise UsageError(Refusal.BAD_VALUE, f"--sample must be at least 1, got {arguments.sample}")
    _check_folder(output)
    verified = verify_folder(output)
    splits, findings = verified.splits, verified.findings
    if arguments.against and verified.audio and not splits:
        raise UsageError(Refusal.NO_FEATURES, f"{output} holds no features: {why_no_features(output)}")
    is_left_out = bool(arguments.against and findings.faults)
    lines: list[str] = []
    if arguments.against and not is_left_out:
        lines = compare(splits, arguments.against, arguments.sample, findings)
    for line in findings.lines():
        print(line)
    for line in lines:
        print(line)
    for split in splits:
        summary = split.summary
        print(
            f"{output}, split {split.folder.split}: {summary.in_words('record', 'converted')}; "
            f"{words.count(summary.num_features, 'feature')} in {words.count(len(split.shards), 'shard')}"
        )
    for audio in verified.audio:
        summary = audio.summary
        print(
            f"{output}, split {audio.folder.split}: {summary.in_words('clip', 'written')}; "
            f"{words.duration(summary.microseconds / 1e6)} of audio in {words.count(len(audio.shards), 'shard')}"
        )
    warnings = words.count(findings.count("warnings"), "warning")
    if findings.faults:
        skipped = "; --against waits until there are none" if is_left_out else ""
        print(f"{words.count(findings.count('faults'), 'fault')}, {warnings}{skipped}")
        return EXIT_FAILED
    print(f"no faults, {warnings}")
    return EXIT_OK


def _check_folder(output: str) -> None:
    """Refuses a folder that cannot be one of features, and says which one may be meant.

    Raises:
        UsageError: it is no folder, one above or below one of features, or one that no job has written.
    """
    from melbeam.pipelines import files
    from melbeam.pipelines.split.finding import folders_meant, why_no_features

    if any(files.match(of_all_splits(output, name)) for name in FILES_OF_A_SPLIT):
        return
    if (above := folder_kept_in(output)) is not None:
        raise UsageError(Refusal.NO_FEATURES, f"{output} is the bookkeeping of {above}: verify that")
    if meant := folders_meant(output):
        raise UsageError(Refusal.NO_FEATURES, f"{output} holds no features itself: verify {' or '.join(meant)}")
    if files.is_local(output) and os.path.isfile(output):
        raise UsageError(Refusal.NO_FEATURES, f"{output} holds no features: {why_no_features(output)}")
    if not files.match(f"{escape(output)}/*"):
        raise UsageError(Refusal.NO_FEATURES, f"{output} is no folder with anything in it")
    # A job's folder that has lost its bookkeeping is a fault; a folder that no job wrote is a wrong call.
    if not any(files.match(f"{escape(output)}/{name}") for name in (FRONT_END, DATASET_INFO, shards_of("*"))):
        raise UsageError(Refusal.NO_FEATURES, f"{output} holds no features: {why_no_features(output)}")


COMMAND = Command("verify", DESCRIPTION, add_arguments, run, takes_beam_options=False)
main = COMMAND.main


if __name__ == "__main__":
    leave_with(main)
