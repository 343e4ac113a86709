"""How many threads or processes a job has on this machine, by what the machine is and what there is to do."""

from types import SimpleNamespace

import pytest

from melbeam.pipelines.beam_options import choose_runner
from melbeam.pipelines.extracting import local_workers
from melbeam.pipelines.extracting.local_workers import set_local_workers

GIB = 1 << 30
MACHINE = {"cores": 16, "memory": 64 * GIB}
WORK = {"shards": 100, "size": 256 << 20, "done": 0, "gpu": False}


def workers(monkeypatch, *arguments, **case):
    """The running mode and the number of workers that a job gets."""
    case = MACHINE | WORK | case
    monkeypatch.setattr(local_workers, "num_cores", lambda: case["cores"])
    monkeypatch.setattr(local_workers, "memory_bytes", lambda: case["memory"])
    shards = [SimpleNamespace(unit=SimpleNamespace(num_bytes=case["size"]))] * case["shards"]
    choice = choose_runner(arguments)
    set_local_workers(choice, SimpleNamespace(gpu=case["gpu"]), shards, case["done"])
    values = choice.options.get_all_options()
    return values["direct_running_mode"], values["direct_num_workers"]


@pytest.mark.parametrize(
    ("case", "number"),
    [
        ({}, 16),
        ({"cores": 5}, 5),
        ({"shards": 7}, 7),
        ({"memory": 9 * GIB}, 9),
        ({"memory": None}, 16),
        ({"done": 92}, 8),
        ({"size": (512 << 20) // 100 + 1}, 16),
    ],
)
def test_processes_where_there_are_cores_work_and_memory_for_them(monkeypatch, capfd, case, number):
    assert workers(monkeypatch, **case) == ("multi_processing", number)
    said = capfd.readouterr().err
    assert f"melbeam: {number} processes: count 1.0 GiB of memory for each" in said
    assert "--direct_running_mode=multi_threading takes one" in said


@pytest.mark.parametrize(
    ("case", "number"),
    [
        ({"cores": 1}, 1),
        ({"cores": 2}, 2),
        ({"cores": 4}, 4),
        ({"memory": 4 * GIB}, 4),
        ({"shards": 4, "size": GIB}, 4),
        ({"shards": 0}, 4),
        ({"done": 97}, 4),
        ({"size": 5 << 20}, 4),
        ({"gpu": True}, 4),
    ],
)
def test_threads_else_of_which_four_are_as_fast_as_many(monkeypatch, capfd, case, number):
    assert workers(monkeypatch, **case) == ("multi_threading", number)
    assert not capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--direct_num_workers=3"], ("multi_threading", 3)),
        (["--direct_running_mode=multi_threading"], ("multi_threading", 4)),
        (["--direct_running_mode=multi_processing"], ("multi_processing", 16)),
        (["--direct_running_mode=in_memory", "--direct_num_workers=1"], ("in_memory", 1)),
        (["--direct_running_mode", "multi_processing", "--direct_num_workers", "2"], ("multi_processing", 2)),
        (["--runner=FnApiRunner"], ("in_memory", 1)),
    ],
)
def test_what_the_command_says_stands(monkeypatch, capfd, arguments, expected):
    assert workers(monkeypatch, *arguments) == expected
    assert not capfd.readouterr().err


@pytest.mark.parametrize(("case", "number"), [({"size": 9}, 16), ({"gpu": True}, 16), ({"done": 100}, 1)])
def test_processes_that_are_asked_for(monkeypatch, case, number):
    found = workers(monkeypatch, "--direct_running_mode=multi_processing", **case)
    assert found == ("multi_processing", number)
