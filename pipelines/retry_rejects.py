"""melbeam retry-rejects: a split's rejects through extract again; what passes is a split of its own.

The new split, NAME_retried, leaves every promise about the first one as it was: its shards, its counts and its
bytes. Readers take both, `train+train_retried` in TFDS.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from melbeam.pipelines import extract
from melbeam.pipelines.command import Command
from melbeam.pipelines.defaults import ENCODING_OF_TEXT
from melbeam.pipelines.exit_status import leave_with
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources.kinds import TFRECORD
from melbeam.pipelines.split.arguments import add_folder
from melbeam.transforms.folder_layout import SplitFolder, shard_of_file
from melbeam.transforms.records.audio_bounds import MEAN
from melbeam.transforms.records.options import RecordOptions

if TYPE_CHECKING:
    from melbeam.pipelines.command_line import Parser

DESCRIPTION = (
    "Takes a split's rejects through extract again, with the front end and the options that the split was made "
    "with, and those given here (--on_long=chunk, for example); what passes becomes the split NAME_retried."
)
_OF_THE_SPLIT = ("front_end", *RecordOptions.defaults())
# The options that a split was made with give way to those that contradict them. Each entry has the option that is
# given, the values of it that contradict nothing, and the options that it puts back to their defaults.
_GIVES_WAY = (
    ("on_long", ("chunk",), ("chunk_seconds", "chunk_overlap_seconds")),
    ("chunk_seconds", (), ("on_long",)),
    ("channel", (MEAN,), ("channels",)),
    ("channels", ("mix",), ("channel",)),
)


def add_arguments(parser: Parser) -> None:
    """The options of retry-rejects: those of extract, with the split's own values as defaults."""
    add_folder(parser)
    extract.add_split_arguments(parser)
    for name in _OF_THE_SPLIT:
        option = parser.options[name]
        option.default = argparse.SUPPRESS  # what is not given is not there
        option.help = f"{option.help} (default: as the split was made)"


def run(arguments: argparse.Namespace, beam_arguments: list[str]) -> int:
    """Runs extract on the split's rejects; gives the exit status.

    Raises:
        UsageError: the call was wrong, or there is nothing to retry.
    """
    from melbeam.pipelines.files import folder_path  # imports Beam, which the parser must not wait for

    folder = SplitFolder(folder_path(arguments.folder, "FOLDER"), arguments.split)
    given = vars(arguments)
    made_with = _without_contradictions(_made_with(folder), given)
    rejects = _rejects(folder)
    what_and_where = {
        "input": [rejects],
        # If the split is made again, other rejects may lie in files of the same size.
        "rejects": _hash_of_rejects(folder, rejects),
        "output": folder.output,
        "dataset_name": None,  # the folder has it already, if any
        "split": folder.retried.split,
        "allow_missing_shards": True,
        "input_format": TFRECORD,
        # Records are numbered within a file, and one reject may stand for a row group's many.
        "shard_bytes": sys.maxsize,
        "columns": None,
        "root": None,
        "not_in": None,
        "encoding_of_text": ENCODING_OF_TEXT,
        "normalize_by": None,  # the split's own front end is normalised, where the split was
    }
    return extract.run(argparse.Namespace(**{**made_with, **given, **what_and_where}), beam_arguments)


def _made_with(folder: SplitFolder) -> dict[str, object]:
    """The split's own front end and options.

    Raises:
        UsageError: there is no such finished split.
    """
    from melbeam.pipelines import files
    from melbeam.pipelines.split.finding import finished_or_why, splits_of
    from melbeam.pipelines.split.job_file import UnusableJobFile, read_job
    from melbeam.transforms.front_end import FrontEnd
    from melbeam.transforms.reading.not_features import is_of_ingest

    if not files.exists(folder.summary):
        splits_of(folder.output)  # refuses a folder that has none at all
        why = finished_or_why(folder.output)
        raise UsageError(Refusal.NO_SPLIT, f"{folder.output} has no finished split {folder.split!r}: {why}")
    if is_of_ingest(folder):
        raise UsageError(
            Refusal.NO_FEATURES,
            f"{folder.output}, split {folder.split!r}, holds audio: mend the clips and run the same `melbeam "
            "ingest` with --overwrite",
        )
    try:
        job = read_job(folder)
    except UnusableJobFile as error:
        raise UsageError(Refusal.UNUSABLE_JOB_FILE, str(error)) from error
    if job is None:
        raise UsageError(
            Refusal.UNUSABLE_JOB_FILE, f"{folder.job} is missing: extract the split again, with --overwrite"
        )
    # An option that the melbeam of that time did not have yet has its default.
    made_with = {name: job["identity"].get(name, default) for name, default in RecordOptions.defaults().items()}
    return {**made_with, "front_end": FrontEnd.from_dict(job["front_end"])}


def _without_contradictions(made_with: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
    """Leaves out, of the options that the split was made with, those that contradict the given ones."""
    defaults = RecordOptions.defaults()
    gone = {
        other: defaults[other]
        for name, harmless, others in _GIVES_WAY
        if name in given and given[name] not in harmless
        for other in others
    }
    return {**made_with, **gone}


def _rejects(folder: SplitFolder) -> str:
    """The glob of the split's rejects.

    Raises:
        UsageError: it has none.
    """
    from melbeam.pipelines import files

    if not files.match(folder.rejects_glob):
        raise UsageError(Refusal.NO_REJECTS, f"split {folder.split!r} of {folder.output} has no rejects")
    return folder.rejects_glob


def _hash_of_rejects(folder: SplitFolder, glob: str) -> str:
    """SHA-256, in hex, of what the reports of the split's shards say of their rejects.

    Raises:
        OSError: a report is not there, or cannot be read.
    """
    from melbeam.pipelines import files
    from melbeam.pipelines.split.reports import ShardReport

    marks = []
    for path, _ in files.match(glob):
        report = ShardReport.from_dict(files.read_json(folder.report(shard_of_file(path))))
        marks.append(asdict(report.rejected) if report.rejected is not None else None)
    return hashlib.sha256(json.dumps(marks).encode()).hexdigest()


COMMAND = Command("retry-rejects", DESCRIPTION, add_arguments, run)
main = COMMAND.main

if __name__ == "__main__":
    leave_with(main)
