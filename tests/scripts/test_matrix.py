"""The matrix: its cells, its interpreters, and that a missing one is said."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def matrix():
    return runpy.run_path(str(ROOT / "scripts/matrix.py"))


def test_its_pythons_are_those_that_the_package_is_for(matrix):
    assert 'requires-python = ">=3.10"' in (ROOT / "pyproject.toml").read_text()
    assert matrix["PYTHONS"][0] == "3.10"
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in matrix["PYTHONS"]


def test_both_ends_of_tensorflow_on_each_python_that_has_them(matrix):
    found = matrix["cells"](list(matrix["PYTHONS"]), list(matrix["ENDS"]))
    assert {cell.python for cell in found} == set(matrix["PYTHONS"])
    assert [cell.python for cell in found if cell.end == "oldest"] == ["3.10", "3.11", "3.12"]


def test_an_interpreter_is_what_it_says(matrix):
    mine = f"{sys.version_info[0]}.{sys.version_info[1]}"
    found = matrix["find_python"](mine)
    if found is None:
        pytest.skip("the tests' own interpreter is not on the PATH")
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"Python {mine}.")
    assert matrix["find_python"]("3.99") is None


def test_a_missing_interpreter_is_told_and_is_no_success(tmp_path):
    command = [sys.executable, str(ROOT / "scripts/matrix.py"), "--python=3.10", "--tensorflow=newest"]
    nothing = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(command, env=nothing, capture_output=True, text=True, check=False)
    assert (done.returncode, "NOT RUN, there is no such Python here" in done.stdout) == (1, True)
    done = subprocess.run([*command, "--allow_missing"], env=nothing, capture_output=True, text=True, check=False)
    assert done.returncode == 0
