"""An attempt that was stopped leaves nothing that looks like a crash; one that never ended does."""

import signal
import threading
import time

import pytest

from melbeam.pipelines import files
from melbeam.pipelines.extracting import attempts
from melbeam.pipelines.extracting.attempts import (
    Stopped,
    at_work,
    check_not_stopped,
    forget,
    must_be_isolated,
    never_ended,
    stop_all,
    stopped_by_interruption,
)
from melbeam.transforms.folder_layout import SplitFolder


@pytest.fixture(autouse=True)
def _goes_on():
    attempts._stopping.clear()
    yield
    attempts._stopping.clear()


@pytest.fixture
def folder(tmp_path):
    return SplitFolder(str(tmp_path), "train")


def mark(folder, index, name, *kinds):
    for kind in kinds:
        files.write_bytes(folder.temporary(index, name, kind), b"x")
    return folder.temporary(index, name, "progress")


def test_which_shards_are_isolated(folder):
    crashed = mark(folder, 1, "crashed", "progress", "features")
    mark(folder, 2, "ended", "progress", "features", "report")
    mark(folder, 3, "stopped", "features")
    mark(folder, 4, "ended", "progress", "report")
    again = mark(folder, 4, "crashed", "progress")
    assert [index for index in range(6) if must_be_isolated(folder, index)] == [1, 4]
    assert never_ended(folder) == {crashed, again}


def test_a_cancelled_jobs_marks_go_and_those_before_it_stay(folder):
    before = mark(folder, 1, "crashed", "progress")
    known = never_ended(folder)
    mark(folder, 2, "cancelled", "progress", "features")
    forget(folder, known)
    assert never_ended(folder) == {before}


def test_a_stop_waits_for_attempts_at_work():
    begun, ended = threading.Event(), []

    def attempt():
        with at_work():
            begun.set()
            while True:
                try:
                    check_not_stopped()
                except Stopped:
                    time.sleep(0.1)
                    ended.append(True)
                    return
                time.sleep(0.001)

    thread = threading.Thread(target=attempt)
    thread.start()
    begun.wait()
    assert stop_all()
    assert ended
    thread.join()
    with pytest.raises(Stopped), at_work():
        pass


def test_one_that_does_not_end_is_not_waited_for_for_ever():
    with at_work():
        assert not stop_all(0.05)
    assert stop_all(0.05)


@pytest.mark.usefixtures("heeds_hangups")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_stops_attempts_and_the_next_job_may_begin(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stopped_by_interruption():
        signal.raise_signal(number)
    with pytest.raises(Stopped):
        check_not_stopped()
    assert signal.getsignal(number) == before
    with stopped_by_interruption():
        check_not_stopped()


def test_a_signal_that_is_ignored_as_under_nohup_interrupts_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopped_by_interruption():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
