"""Names that other packages keep private: still there, in the release that is installed."""

import importlib
import inspect
import logging
from functools import reduce
from importlib.metadata import version

import pytest

import melbeam.pipelines
from melbeam.pipelines import private_names


@pytest.mark.parametrize(("module", "name", "package", "release"), private_names.MADE_FOR)
def test_each_is_where_it_was_in_the_release_that_it_was_read_in(module, name, package, release):
    found = importlib.import_module(module)
    try:
        reduce(getattr, name.split("."), found)
    except AttributeError:
        pytest.fail(f"{package} {version(package)} has no {module}.{name}; it was read in {release}")


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
