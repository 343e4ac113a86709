"""The quick tests on Python 3.10 to 3.13 and on both ends of TensorFlow, each pair in an environment of its own.

    python scripts/matrix.py                                   # all of them
    python scripts/matrix.py --python=3.12 --tensorflow=oldest # one of them
    python scripts/matrix.py --tests=tests/transforms          # some tests

An interpreter is looked for on the PATH, among pyenv's and, where uv is installed, by uv. One that is not found is
said to be missing, and nothing is claimed of it: the exit status is 1 where a cell failed and, without
`--allow_missing`, where one could not be run. An environment is removed once its tests have passed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# The oldest releases that the package is for, and the newest TensorFlow that was tried.
OLDEST = (
    "tensorflow==2.16.*",
    "apache-beam==2.70.*",
    "numpy==1.26.*",
    # What the three agree on: without it pip looks for that, release by release, for half an hour.
    "grpcio==1.65.*",
    "ml-dtypes==0.3.*",
    "protobuf==4.25.*",
    "pyarrow==18.*",
)
NEWEST = ("tensorflow==2.21.*",)
ENDS = {"oldest": OLDEST, "newest": NEWEST}
# TensorFlow has no wheel of 2.16 for this one.
WITHOUT_OLDEST = ("3.13",)


class Cell(NamedTuple):
    """A Python and an end of TensorFlow."""

    python: str
    end: str

    def __str__(self) -> str:
        return f"Python {self.python}, {ENDS[self.end][0]}"


def cells(pythons: list[str], ends: list[str]) -> list[Cell]:
    """Those that can be: TensorFlow publishes no wheels of its oldest release for the newest Python."""
    return [
        Cell(python, end)
        for python in pythons
        for end in ends
        if not (end == "oldest" and python in WITHOUT_OLDEST)
    ]


def find_python(version: str) -> str | None:
    """The interpreter's path, or None where there is none that runs and brings venv."""
    for candidate in _candidates(version):
        code = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"
        ended = subprocess.run([candidate, "-c", code], capture_output=True, text=True, check=False)
        if ended.returncode == 0 and ended.stdout.strip() == version:
            return candidate
    return None


def _candidates(version: str) -> Iterator[str]:
    if found := shutil.which(f"python{version}"):
        yield found
    for path in sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python")):
        yield str(path)
    if shutil.which("uv"):
        ended = subprocess.run(["uv", "python", "find", version], capture_output=True, text=True, check=False)
        if ended.returncode == 0:
            yield ended.stdout.strip()


def run(cell: Cell, python: str, tests: list[str]) -> tuple[bool, str]:
    """Makes the cell's environment and runs the quick tests in it: whether they passed, and the last line."""
    folder = ROOT / f".venv-matrix-{cell.python}-{cell.end}"
    subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
    inside = str(folder / "bin/python")
    install = [inside, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-e", ".[test]"]
    installed = subprocess.run([*install, *ENDS[cell.end]], cwd=ROOT, check=False)
    if installed.returncode:
        return False, f"pip ended with status {installed.returncode}"
    command = [inside, "-m", "pytest", "-m", "not slow", "-q", "-n", "2", "--dist", "loadfile", *tests]
    last = ""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as pytest:
        for line in pytest.stdout or ():
            print(line, end="", flush=True)
            last = line.strip() or last
    if pytest.returncode == 0:
        shutil.rmtree(folder)
    return pytest.returncode == 0, last


def main() -> int:
    """Runs the cells; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", choices=PYTHONS, help="one of them; may be repeated")
    parser.add_argument("--tensorflow", action="append", choices=ENDS, help="one end; may be repeated")
    parser.add_argument("--tests", action="append", help="files or folders of tests; may be repeated")
    parser.add_argument(
        "--allow_missing", action="store_true", help="an interpreter that is not there is no failure"
    )
    options = parser.parse_args()
    lines, failed, missing = [], 0, 0
    for cell in cells(options.python or list(PYTHONS), options.tensorflow or list(ENDS)):
        python = find_python(cell.python)
        if python is None:
            missing += 1
            lines.append(f"{cell}: NOT RUN, there is no such Python here")
            continue
        print(f"{cell}: {python}", flush=True)
        began = time.monotonic()
        passed, last = run(cell, python, options.tests or ["tests"])
        failed += not passed
        lines.append(f"{cell}: {'passed' if passed else 'FAILED'} in {time.monotonic() - began:.0f} s: {last}")
    print("\n".join(["", *lines]))
    return int(failed > 0 or (missing > 0 and not options.allow_missing))


if __name__ == "__main__":
    sys.exit(main())
