"""Names that other packages keep private are there as they were in the release that they were read in."""

import inspect
import logging
from importlib import import_module
from importlib.metadata import version

import pytest

import melbeam.pipelines
from melbeam.pipelines import private_names
from melbeam.pipelines.private_names import MADE_FOR


@pytest.mark.parametrize(("module", "name", "package", "release"), MADE_FOR)
def test_the_name_is_there(module, name, package, release):
    base, _, extra = package.partition("[")
    try:
        found = import_module(module)
    except ImportError:
        if not extra:
            raise
        pytest.skip(f"{package} is not installed; make test-cloud has it")
    for part in name.split("."):
        assert hasattr(found, part), f"{base} {version(base)} has no {module}.{name}; {release} had it"
        found = getattr(found, part)


def test_a_listing_takes_where_to_begin():
    from apache_beam.io.filesystem import FileSystem

    assert list(inspect.signature(FileSystem._list).parameters) == ["self", "dir_or_prefix"]


def test_beams_options_are_known_with_whether_they_take_a_value():
    known = private_names.beam_options()
    assert (known["runner"], known["flink_master"], known["temp_location"]) == (True, True, True)
    assert known["streaming"] is False


def test_a_failed_bundle_is_printed_by_the_module_that_is_silenced(monkeypatch):
    from apache_beam.runners.worker import sdk_worker

    assert "print(" in inspect.getsource(sdk_worker), "apache-beam 2.77.0 printed there; what does it do now?"
    monkeypatch.setattr(sdk_worker, "print", print, raising=False)
    private_names.silence_local_workers()
    assert sdk_worker.print is not print


def test_the_local_runner_takes_its_clock_from_the_name_that_is_set(monkeypatch):
    from apache_beam.runners.portability.fn_api_runner import worker_handlers
    from apache_beam.runners.worker import data_plane

    for user in (worker_handlers.EmbeddedGrpcWorkerHandler, worker_handlers.GrpcServer):
        assert "DATA_BUFFER_TIME_LIMIT_MS" in inspect.getsource(user)
    monkeypatch.setattr(worker_handlers, "DATA_BUFFER_TIME_LIMIT_MS", 1000)
    private_names.keep_elements_whole()
    assert worker_handlers.DATA_BUFFER_TIME_LIMIT_MS == 0
    without_clock = data_plane.ClosableOutputStream.create(None, None, 0)
    assert type(without_clock) is data_plane.SizeBasedBufferingClosableOutputStream


def test_what_melbeam_says_in_a_local_worker_process_is_found_among_what_the_runner_logs():
    from apache_beam.runners.portability import local_job_service
    from apache_beam.runners.worker.log_handler import FnApiLogRecordHandler

    assert local_job_service._LOGGER.name == private_names.LOGGER_OF_LOCAL_WORKERS
    assert "'Worker: %s'" in inspect.getsource(local_job_service), "it logs its workers' lines in another form"
    assert "log_location" in inspect.getsource(FnApiLogRecordHandler)
    text = 'severity: INFO message: "shard 1 of 2" log_location: "{}:7" thread: "MainThread"'
    for place, said in ((melbeam.pipelines.__path__[0] + "/x.py", "shard 1 of 2"), ("/elsewhere/x.py", None)):
        line = f"Worker: {text.format(place)}"
        record = logging.LogRecord(private_names.LOGGER_OF_LOCAL_WORKERS, 20, "", 1, line, (), None)
        assert private_names.words_of_local_worker(record) == said
    other = logging.LogRecord(private_names.LOGGER_OF_LOCAL_WORKERS, 20, "", 1, "Job state changed", (), None)
    assert private_names.words_of_local_worker(other) is None
