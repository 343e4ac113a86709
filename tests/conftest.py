"""Fixtures for all tests."""

import importlib.util
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples on every run, so that a pass says something about the change at hand; to look for more,
# pytest --hypothesis-profile=explore.
settings.register_profile("same", derandomize=True)
settings.register_profile("explore", max_examples=300)
settings.load_profile("same")


# A shell starts what it puts into the background with SIGINT ignored, and a test's processes would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--fuzz_seconds", type=float, default=120, help="of tests/fuzz, in all; the default is 120")


HERE = Path(__file__).parent


def load(path):
    """This imports a module by its file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Tests import them by name, and pytest's importlib mode does not put their folder on the path.
for path in (HERE / "helpers.py", HERE / "corpora.py", HERE.parent / "scripts/processes.py"):
    sys.modules[path.stem] = load(path)


@pytest.fixture(scope="session")
def oracle():
    """The module tests/oracle.py."""
    return load(HERE / "oracle.py")


@pytest.fixture(scope="session")
def signals(oracle):
    return oracle.signals()


@pytest.fixture(scope="session")
def assert_same():
    """Asserts equal bits where the blocks run in that precision; elsewhere that only the rounding differs."""
    import numpy as np

    from melbeam.transforms.block_kernel import xla_transforms

    def check(found, expected, precision="float64"):
        if xla_transforms(precision):
            np.testing.assert_array_equal(found, expected)
        else:
            # CPU kernels round differently at other lengths, by 2e-7; then the logarithm of quiet bins.
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 if precision == "float64" else 1e-3)

    return check


@pytest.fixture(scope="session")
def check_metrics():
    """Checks what the result of tests/metrics_job.py counts on the runner of some options."""

    def check(*options):
        command = [sys.executable, Path(__file__).parent / "metrics_job.py", *options]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert ran.returncode == 0, ran.stderr
        counted = json.loads(ran.stdout.splitlines()[-1])
        count, total, least, most = counted.pop("convert_microseconds")
        assert (count, 0 < least <= most <= total) == (3, True)
        assert counted == {
            "records": 4,
            "features": 3,
            "audio_milliseconds": 7000,
            "clip_milliseconds": [3, 7000, 1000, 4000],
            "rejects_not_an_example": 1,
        }

    return check


@pytest.fixture
def heeds_hangups():
    """SIGHUP is not ignored, as it is where the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
