"""A record that hangs ends the process, whether or not it lets go of the interpreter's lock."""

import subprocess
import sys
import threading
import time

import pytest

from melbeam.pipelines.extracting.watchdog import WatchedConverter

PROGRAM = """
import ctypes, time
from melbeam.pipelines.extracting.watchdog import WatchedConverter

class Converter:
    def convert(self, record, source):
        {hang}

with WatchedConverter(Converter(), 0.5) as watched:
    watched.convert(b"", "in#7")
print("never")
"""


class Converter:
    def convert(self, record, source):
        time.sleep(len(record) / 1000)
        return record, source


def run(hang):
    start = time.monotonic()
    command = [sys.executable, "-c", PROGRAM.format(hang=hang)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert time.monotonic() - start < 30
    return done


def test_a_hang_ends_the_process_and_names_the_record():
    done = run("time.sleep(100)")
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        "melbeam: in#7 has not been converted within 0.5 s (--max_convert_seconds): this process ends"
        in done.stderr
    )


def test_a_hang_that_holds_the_lock_does_too():
    done = run("ctypes.PyDLL(None).sleep(100)")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Timeout" in done.stderr
    assert "in convert" in done.stderr


def test_many_records_may_take_longer_together_and_no_thread_stays():
    before = threading.active_count()
    with WatchedConverter(Converter(), 0.4) as first, WatchedConverter(Converter(), 0.4) as second:
        for number in range(8):
            assert first.convert(b"x" * 100, f"in#{number}") == (b"x" * 100, f"in#{number}")
            second.convert(b"", "")
    time.sleep(3)  # nothing is wound up any more
    assert threading.active_count() == before


def test_what_the_converter_raises_comes_through():
    class Fails:
        def convert(self, record, source):
            raise KeyError(source)

    with WatchedConverter(Fails(), 10) as watched, pytest.raises(KeyError, match="in#1"):
        watched.convert(b"", "in#1")
