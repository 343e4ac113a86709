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
    def prepare(self, record, source):
        {hang}

with WatchedConverter(Converter(), 0.5) as watched:
    watched.prepare(b"", "in#7")
print("never")
"""


class Converter:
    def prepare(self, record, source):
        time.sleep(len(record) / 1000)
        return record, source


def run(hang, program=PROGRAM):
    start = time.monotonic()
    command = [sys.executable, "-c", program.format(hang=hang)]
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
    assert "in prepare" in done.stderr


def test_records_that_are_finished_together_are_named_together():
    program = PROGRAM.replace("def prepare(self, record, source)", "def finish(self, prepared)")
    program = program.replace(
        'watched.prepare(b"", "in#7")',
        "from types import SimpleNamespace\n"
        '    watched.finish([SimpleNamespace(source=f"in#{{n}}") for n in (7, 8, 9)])',
    )
    done = run("time.sleep(100)", program)
    assert done.returncode == 1
    assert "melbeam: in#7 to in#9 has not been converted within 0.5 s" in done.stderr


@pytest.mark.slow
def test_many_records_may_take_longer_together_and_no_thread_stays():
    before = threading.active_count()
    with WatchedConverter(Converter(), 0.4) as first, WatchedConverter(Converter(), 0.4) as second:
        for number in range(8):
            assert first.prepare(b"x" * 100, f"in#{number}") == (b"x" * 100, f"in#{number}")
            second.prepare(b"", "")
    time.sleep(3)  # nothing is wound up any more
    assert threading.active_count() == before


def test_what_the_converter_raises_comes_through():
    class Fails:
        def prepare(self, record, source):
            raise KeyError(source)

    with WatchedConverter(Fails(), 10) as watched, pytest.raises(KeyError, match="in#1"):
        watched.prepare(b"", "in#1")
