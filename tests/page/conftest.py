"""What the tests of this folder import by name; they run only where their marker is asked for."""

import importlib.util
import sys
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("corpus", Path(__file__).parent / "corpus.py")
sys.modules["corpus"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["corpus"])


def pytest_collection_modifyitems(config, items):
    if "page" in (config.option.markexpr or ""):
        return
    reason = pytest.mark.skip(reason="runs in a browser: make test-page")
    for item in items:
        if item.get_closest_marker("page"):
            item.add_marker(reason)
