"""The same job on each of Beam's local running modes: the same bytes."""

import subprocess
import sys

import numpy as np
import pytest

from melbeam.pipelines.tfrecords import TFRecordWriter
from melbeam.transforms.examples import to_example

MODES = ["in_memory", "multi_threading", "multi_processing"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runners")
    random = np.random.default_rng(0)
    for shard in range(4):
        with open(folder / f"audio-{shard}", "wb") as file:
            writer = TFRecordWriter(file)
            for i in range(5):
                samples = (3000 * random.standard_normal(4000 + 1000 * i)).astype("int64")
                writer.write(to_example({"audio": samples, "sampling_rate": 16000, "id": f"{shard}-{i}"}))
            writer.write(b"\xff\xff")
    return folder


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def default(source):
    return extracted(source, "default")


def extracted(source, name, *arguments):
    # A process of its own, since the running mode of Beam's worker processes is the process's.
    command = [sys.executable, "-m", "melbeam.pipelines.extract", f"--input={source}/audio-*"]
    command += [f"--output={source}/{name}", "--max_reject_fraction=1", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "24 records read = 20 converted + 4 rejected" in ran.stdout
    return tree(source / name)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_writes_the_same_bytes(source, default, mode):
    found = extracted(source, mode, f"--direct_running_mode={mode}", "--direct_num_workers=2")
    assert found == default
