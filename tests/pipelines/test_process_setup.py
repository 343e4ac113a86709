"""What the process is told before a pipeline runs."""

import os
import signal
import threading
import time

import apache_beam as beam
import grpc
import pytest
from apache_beam.testing.util import assert_that, equal_to

from melbeam.pipelines import process_setup
from melbeam.pipelines.beam_options import choose_runner
from melbeam.pipelines.process_setup import prepare_process


@pytest.mark.parametrize(("given", "expected"), [(None, "localhost"), ("a.org,.b.org", "a.org,.b.org,localhost")])
def test_local_workers_are_not_asked_for_at_a_proxy(monkeypatch, given, expected):
    monkeypatch.setenv("no_grpc_proxy", "")
    monkeypatch.setenv("no_proxy", given or "")
    for _ in range(2):
        prepare_process(choose_runner([]))
        assert os.environ[process_setup._GRPC_PROXY_EXCEPTIONS] == expected
    monkeypatch.setenv("no_grpc_proxy", "")
    prepare_process(choose_runner(["--runner=FlinkRunner"]))
    assert os.environ[process_setup._GRPC_PROXY_EXCEPTIONS] == ""


def test_a_worker_process_that_ends_has_a_line_and_no_traceback(monkeypatch, caplog):
    others = []
    monkeypatch.setattr(threading, "excepthook", others.append)
    for _ in range(2):
        prepare_process(choose_runner([]))

    def thread(error):
        def work():
            raise error

        started = threading.Thread(target=work)
        started.start()
        started.join()

    for status in (-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGKILL):
        thread(RuntimeError(f"Worker subprocess exited with return code {status}"))
    thread(grpc.RpcError())
    assert not others
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        "a worker process has ended: Worker subprocess exited with return code -9"
    ]
    thread(RuntimeError("else"))
    thread(ValueError("Worker subprocess exited with return code -9"))
    assert [str(raised.exc_value) for raised in others] == ["else", "Worker subprocess exited with return code -9"]


class SlowToWrite:
    """What takes longer to be written than the second after which the local runner's clock would send a part."""

    def __reduce__(self):
        time.sleep(1.5)
        return SlowToWrite, ()


def test_an_element_that_is_being_written_is_not_sent_in_two_pieces():
    """The pieces were read as other elements: a job with large reports failed, or took all memory."""
    choice = choose_runner([])
    prepare_process(choice)
    with beam.Pipeline(options=choice.options) as pipeline:
        sizes = (
            pipeline
            | beam.Create([1])
            | "Make" >> beam.Map(lambda key: (key, SlowToWrite()))
            | beam.GroupByKey()
            | "Count" >> beam.MapTuple(lambda _, values: len(list(values)))
        )
        assert_that(sizes, equal_to([1]))
