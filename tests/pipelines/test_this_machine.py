"""A process may use as many cores, and as much memory, as its machine and its container have."""

import os

import pytest

from melbeam.pipelines import this_machine
from melbeam.pipelines.this_machine import memory_bytes, num_cores

MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
QUOTA, PERIOD, LIMIT = "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us", "memory/memory.limit_in_bytes"


@pytest.fixture
def cgroups(monkeypatch, tmp_path):
    """A function that writes a container's limits, which this process then finds; it may run on 16 cores."""
    monkeypatch.setattr(this_machine, "_CGROUPS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)

    def write(limits):
        for name, text in limits.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)

    return write


@pytest.mark.parametrize(
    ("limits", "cores"),
    [
        ({}, 16),
        ({"cpu.max": "max 100000\n"}, 16),
        ({"cpu.max": "400000 100000\n"}, 4),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "20000 100000\n"}, 1),
        ({"cpu.max": "9900000 100000\n"}, 16),
        ({"cpu.max": ""}, 16),
        ({QUOTA: "-1\n", PERIOD: "100000\n"}, 16),
        ({QUOTA: "300000\n", PERIOD: "100000\n"}, 3),
        ({QUOTA: "300000\n"}, 16),
    ],
)
def test_the_cores_of_a_container(cgroups, limits, cores):
    cgroups(limits)
    assert num_cores() == cores


@pytest.mark.parametrize(
    ("limits", "memory"),
    [
        ({}, MEMORY),
        ({"memory.max": "max\n"}, MEMORY),
        ({"memory.max": "1073741824\n"}, 1 << 30),
        ({LIMIT: "1073741824\n"}, 1 << 30),
        ({LIMIT: "9223372036854771712\n"}, MEMORY),
    ],
)
def test_the_memory_of_a_container(cgroups, limits, memory):
    cgroups(limits)
    assert memory_bytes() == memory


def test_a_system_that_tells_nothing(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert num_cores() == 1
    monkeypatch.delattr(os, "sysconf")
    assert memory_bytes() is None
