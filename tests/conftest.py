"""Fixtures for all tests."""

import importlib.util
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples on every run, so that a pass says something about the change at hand; to look for more,
# pytest --hypothesis-profile=explore.
settings.register_profile("same", derandomize=True)
settings.register_profile("explore", max_examples=300)
settings.load_profile("same")


def pytest_addoption(parser):
    parser.addoption("--fuzz_seconds", type=float, default=120, help="of tests/fuzz, in all; the default is 120")


@pytest.fixture(scope="session")
def oracle():
    """The module tests/oracle.py."""
    spec = importlib.util.spec_from_file_location("oracle", Path(__file__).parent / "oracle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def signals(oracle):
    return oracle.signals()
