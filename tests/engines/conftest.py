"""An input, its features as the local default writes them, and a worker pool, for the tests of each engine."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import processes
from helpers import encode, tree, write
from melbeam.transforms.records.tf_example import to_example

RATE = 16000
NUM_SHARDS, CLIPS_A_SHARD = 6, 12
JOB_SECONDS = 240
ENGINES = ("cloud", "flink", "prism")


def pytest_collection_modifyitems(config, items):
    """Leaves out what fetches or builds an engine, unless -m names that engine."""
    unasked = {engine for engine in ENGINES if engine not in config.option.markexpr}
    left_out = [item for item in items if any(item.get_closest_marker(engine) for engine in unasked)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _clip(shard, number):
    rng = np.random.default_rng([shard, number])
    samples = (0.1 * rng.standard_normal(RATE * (2 + number)) * 2**15).astype(np.int16)
    return to_example({"audio": encode(samples, kind="FLAC"), "id": f"{shard}-{number}", "language": "en"})


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """The glob of some shards, an empty one and rejects among them."""
    folder = tmp_path_factory.mktemp("audio")
    for shard in range(NUM_SHARDS):
        records = [_clip(shard, number) for number in range(CLIPS_A_SHARD if shard != 2 else 0)]
        if shard % 3 == 1:
            records.append(b"\xff no Example")
        write(folder / f"part-{shard}.tfrecord", records)
    return f"{folder}/part-*"


class Ended(NamedTuple):
    """A command that has ended."""

    status: int
    text: str


class Extract:
    """`melbeam extract` as a user types it; the same job whatever the engine."""

    def __init__(self, source, output, *options):
        self.output = Path(output)
        self._log = open(f"{output}.log", "w+b")  # noqa: SIM115
        command = [sys.executable, "-m", "melbeam.pipelines.extract", f"--input={source}", f"--output={output}"]
        self._process = subprocess.Popen(
            [*command, "--max_reject_fraction=0.1", *options], stdout=self._log, stderr=subprocess.STDOUT
        )

    def wait_for(self, pattern):
        """Returns as soon as a file of the output folder matches."""
        deadline = time.monotonic() + JOB_SECONDS
        while not list(self.output.glob(pattern)):
            assert self._process.poll() is None, f"it ended before there was a {pattern}: {self._text()}"
            assert time.monotonic() < deadline, self._text()
            time.sleep(0.01)

    def end(self):
        try:
            status = self._process.wait(JOB_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            pytest.fail(f"it did not end in {JOB_SECONDS} s: {self._text()}")
        return Ended(status, self._text())

    def _text(self):
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-processes.LAST_WORDS :]


@pytest.fixture(scope="session")
def extract():
    return Extract


@pytest.fixture(scope="session")
def files_of():
    """All of a folder's files; nothing in them may depend on the engine."""

    return tree


@pytest.fixture(scope="session")
def expected(source, files_of, tmp_path_factory):
    """The files that the local default writes."""
    local = Extract(source, tmp_path_factory.mktemp("local") / "features")
    assert local.end().status == 0
    files = files_of(local.output)
    assert sum(name.startswith("train-") for name in files) == NUM_SHARDS
    return files


@pytest.fixture(scope="session")
def free_port():
    return processes.free_port


@pytest.fixture(scope="session")
def serving():
    return processes.serving


class WorkerPool(NamedTuple):
    """A pool that starts a worker for whoever asks."""

    endpoint: str
    pid: int

    def workers(self):
        """Process ids of its workers (Linux)."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/children")
        return [int(pid) for thread in threads for pid in thread.read_text().split()]

    def kill_a_worker(self):
        os.kill(self.workers()[0], signal.SIGKILL)


@pytest.fixture
def worker_pool(tmp_path):
    port = processes.free_port()
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, Path(__file__).parent / "worker_pool.py", f"--service_port={port}"]
    with processes.serving(command, port, tmp_path / "worker_pool.log", env) as process:
        yield WorkerPool(f"localhost:{port}", process.pid)


@pytest.fixture
def on_a_pool(job_endpoint, worker_pool):
    """Options of a job on the module's job server, with its workers in a pool."""
    return [
        "--runner=PortableRunner",
        f"--job_endpoint={job_endpoint}",
        "--environment_type=EXTERNAL",
        f"--environment_config={worker_pool.endpoint}",
    ]


@pytest.fixture(scope="session")
def cache():
    """Where fetched and built programs stay between runs."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "melbeam"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def need():
    """Fails, rather than skips: who asks for an engine wants to know that it was tried."""

    def check(program, version):
        if shutil.which(program) is None:
            pytest.fail(f"this test needs {version}: no {program} on the PATH", pytrace=False)

    return check
