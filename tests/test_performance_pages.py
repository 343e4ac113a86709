"""The figures of the documentation are those of the benchmarks' JSON. Nothing is timed here."""

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "performance_tables.py"))
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


@pytest.mark.parametrize("page", SCRIPT["PAGES"])
def test_the_tables_are_made_of_the_json(page):
    text = (ROOT / page).read_text()
    assert "<!-- /" in text
    assert SCRIPT["made_page"](text) == text, "run python scripts/performance_tables.py"


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.name)
def test_results_name_their_command_and_machine(path):
    found = json.loads(path.read_text())
    assert (ROOT / found["command"].split()[1]).is_file()
    assert found["machine"]["cores"] >= 1
    assert "tensorflow" in found["machine"]["packages"]


def test_a_claim_is_met_by_its_median_alone():
    claims = [
        {"what": "a", "unit": "s", "median": 2.0, "least": 1.0, "most": 3.0, "rounds": 3, "target": 1.5,
         "at_least": at_least, "is_met": at_least}
        for at_least in (True, False)
    ]  # fmt: skip
    machine = {"processor": {"name": "x"}, "cores": 2, "python": "3.11", "packages": {}, "load": None}
    table = SCRIPT["claims_table"]({"command": "python x", "machine": machine, "claims": claims})
    assert "| a | 2 s | 1 to 3 | ≥ 1.5 s, met |" in table
    assert "| a | 2 s | 1 to 3 | ≤ 1.5 s, not met |" in table
