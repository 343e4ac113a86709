"""What the process is told before a pipeline runs."""

import os

import pytest

from melbeam.pipelines import process
from melbeam.pipelines.beam_options import choose_runner
from melbeam.pipelines.process import prepare_process


@pytest.mark.parametrize(("given", "expected"), [(None, "localhost"), ("a.org,.b.org", "a.org,.b.org,localhost")])
def test_local_workers_are_not_asked_for_at_a_proxy(monkeypatch, given, expected):
    monkeypatch.setenv("no_grpc_proxy", "")
    monkeypatch.setenv("no_proxy", given or "")
    for _ in range(2):
        prepare_process(choose_runner([]))
        assert os.environ[process._GRPC_PROXY_EXCEPTIONS] == expected
    monkeypatch.setenv("no_grpc_proxy", "")
    prepare_process(choose_runner(["--runner=FlinkRunner"]))
    assert os.environ[process._GRPC_PROXY_EXCEPTIONS] == ""
