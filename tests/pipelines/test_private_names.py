"""Names that other packages keep private: still there, in the release that is installed."""

import importlib
import inspect
from functools import reduce
from importlib.metadata import version

import pytest

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
