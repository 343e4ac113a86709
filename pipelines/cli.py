"""The `melbeam` command: one job a word, each with its own --help."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from melbeam.pipelines.command import Command
from melbeam.pipelines.exit_status import EXIT_OK, EXIT_REFUSED, leave_with
from melbeam.pipelines.refusals import Refusal, with_code
from melbeam.transforms.messages import nearest

JOBS = {
    "demo": "takes a small spoken corpus through the whole chain, offline",
    "ingest": "writes a corpus as audio TFRecords",
    "extract": "computes the features of a corpus, and writes them as TFRecords",
    "verify": "checks a folder of features, every byte of it",
    "report": "writes a page about a folder of features: warnings, figures, pictures",
    "rejects": "lists why records were turned away, and what to do about each",
    "retry-rejects": "takes a split's rejects through extract again",
    "clean": "removes the temporary files of attempts that did not end",
    "show": "shows a record in the terminal: its fields, its text, its log-mel drawn in characters",
    "diff": "compares two folders of features by id: what is missing, what differs, how far apart",
    "index": "writes the index of each shard of features, for a folder of an earlier melbeam that has none",
    "presets": "lists the front ends and the models that are known by name",
}


def command_of(job: str) -> Command:
    """The job of that name, with its parser; what it runs is imported when it runs."""
    return import_module(f"melbeam.pipelines.{job.replace('-', '_')}").COMMAND


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job that the first word names; gives its exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    word = argv[0] if argv else ""
    if word in JOBS:
        return command_of(word).main(argv[1:])
    if word == "--version":
        from melbeam.transforms import __version__

        print(f"melbeam {__version__}")
        return EXIT_OK
    if word in ("-h", "--help", "help"):
        print(_usage())
        return EXIT_OK
    meant = nearest(word, JOBS)
    said = f"no job {word!r}" + (f": did you mean {meant}?" if meant else "") if word else "name a job"
    print(f"melbeam: {with_code(said, Refusal.UNKNOWN_JOB)}\n{_usage()}", file=sys.stderr)
    return EXIT_REFUSED


def _usage() -> str:
    jobs = "\n".join(f"  melbeam {name:15}{text}" for name, text in JOBS.items())
    more = "melbeam JOB --help lists the options of a job; melbeam --version prints the version."
    return f"usage: melbeam JOB [options]\n\n{jobs}\n\n{more}"


def command() -> NoReturn:
    """The installed command `melbeam`."""
    leave_with(main)


if __name__ == "__main__":
    command()
