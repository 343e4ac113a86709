"""The same job on each of Beam's local running modes: the same bytes."""

import subprocess
import sys

import numpy as np
import pytest

from helpers import tree, write
from melbeam.transforms.records.tf_example import to_example

MODES = ["in_memory", "multi_threading", "multi_processing"]
# Runs a job as on a machine of three cores, on which two threads are enough, and any input is worth processes.
ON_MANY_CORES = """
import sys
from melbeam.pipelines.extracting import local_workers
local_workers.num_cores, local_workers.MAX_THREADS, local_workers.WORTH_PROCESSES = lambda: 3, 2, 1
from melbeam.pipelines.extract import main
sys.exit(main())
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runners")
    random = np.random.default_rng(0)
    for shard in range(4):
        clips = [(3000 * random.standard_normal(4000 + 1000 * i)).astype("int64") for i in range(5)]
        records = [{"audio": clip, "sampling_rate": 16000, "id": f"{shard}-{i}"} for i, clip in enumerate(clips)]
        write(folder / f"audio-{shard}", [*map(to_example, records), b"\xff\xff"])
    return folder


@pytest.fixture(scope="module")
def default(source):
    return extracted(source, "default")


def extracted(source, name, *arguments, program=("-m", "melbeam.pipelines.extract")):
    # A process of its own, since the running mode of Beam's worker processes is the process's.
    command = [sys.executable, *program, f"--input={source}/audio-*"]
    command += [f"--output={source}/{name}", "--max_reject_fraction=1", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "24 records read = 20 converted + 4 rejected" in ran.stdout
    (source / f"{name}.log").write_text(ran.stderr)
    return tree(source / name)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_writes_the_same_bytes(source, default, mode):
    found = extracted(source, mode, f"--direct_running_mode={mode}", "--direct_num_workers=2")
    assert found == default


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_gives_the_metrics(check_metrics, mode):
    check_metrics("--runner=FnApiRunner", f"--direct_running_mode={mode}", "--direct_num_workers=2")


@pytest.mark.slow
def test_a_machine_of_many_cores_has_processes_by_itself(source, default):
    assert extracted(source, "cores", program=("-c", ON_MANY_CORES)) == default
    said = (source / "cores.log").read_text()
    assert "melbeam: 3 processes: count 1.0 GiB of memory for each" in said
    assert extracted(source, "cores", program=("-c", ON_MANY_CORES)) == default  # nothing is left to do
    assert "processes: count" not in (source / "cores.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["default", "multi_processing"])
def test_a_line_a_shard_and_none_a_record(source, default, name):
    extracted(source, f"{name}-again", *[f"--direct_running_mode={name}"] * (name != "default"))
    said = (source / f"{name}-again.log").read_text().splitlines()
    lines = [line for line in said if "melbeam" in line and "shard " in line]
    assert len(lines) == 4
    assert all(
        "6 records read = 5 converted + 1 rejected (1 not_an_example); 2 s of audio in " in line for line in lines
    )


@pytest.mark.slow
def test_a_runner_that_runs_every_bundle_twice(source, default):
    """What Beam has for that: a bundle's first outputs are thrown away, and what it wrote stays behind."""
    assert extracted(source, "twice", "--direct_runner_bundle_repeat=1") == default
    assert (source / "twice.log").read_text().count("done by an earlier start") == 4


@pytest.mark.slow
def test_parts_of_a_file_are_the_same_on_every_mode(source, default):
    """Files of 20 kB and more, in parts of 9 kB at most, on runners of several threads and processes."""
    parts = ["--max_shard_bytes=9000", "--direct_num_workers=2"]
    found = [extracted(source, f"parts-{mode}", f"--direct_running_mode={mode}", *parts) for mode in MODES]
    assert found[0] == found[1] == found[2]
    assert len([name for name in found[0] if name.startswith("train-")]) > 8
    assert shards(found[0]) == shards(default)


def shards(files):
    """The features of all shards together."""
    return b"".join(data for name, data in files.items() if name.startswith("train-"))
