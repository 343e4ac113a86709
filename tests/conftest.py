"""Fixtures for all tests."""

import importlib.util
from pathlib import Path

import pytest


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
