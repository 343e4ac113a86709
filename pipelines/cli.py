"""The `melbeam` command: one job a word, each with its own --help."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module

_JOBS = {
    "demo": "the whole chain on a small spoken corpus, offline",
    "ingest": "audio files to audio TFRecords",
    "extract": "audio TFRecords to feature TFRecords",
    "verify": "checks a folder of features, every byte of it",
    "retry-rejects": "a split's rejects through extract again",
    "clean": "removes what attempts left that did not end",
    "presets": "the models whose front end is known by name",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job that the first word names; gives its exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    _quiet_imports()
    if argv and argv[0] in _JOBS:
        return import_module(f"melbeam.pipelines.{argv[0].replace('-', '_')}").main(argv[1:])
    asked = not argv or argv[0] in ("-h", "--help", "help")
    if not asked:
        print(f"melbeam: no job {argv[0]!r}", file=sys.stderr)
    jobs = "\n".join(f"  melbeam {name:15}{text}" for name, text in _JOBS.items())
    print(f"usage: melbeam JOB [options]\n\n{jobs}\n\nmelbeam JOB --help tells its options.", file=sys.stderr)
    return 0 if asked and argv else 2


def _quiet_imports() -> None:
    """Keeps what TensorFlow and Beam say when they are imported out of a terminal that shows a progress bar."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Logged by Beam on the root logger where its cloud extra is not installed; a gs:// path says it better.
    logging.getLogger().addFilter(lambda record: "apitools not found" not in record.getMessage())


if __name__ == "__main__":
    sys.exit(main())
