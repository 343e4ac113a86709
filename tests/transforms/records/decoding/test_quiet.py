"""What a decoder's library prints is not seen, and what others print in the meantime is."""

import io
import os
import subprocess
import sys
import threading
from contextlib import suppress

import numpy as np
import pytest
import soundfile

from helpers import encode
from melbeam.transforms.records.decoding import decode_audio
from melbeam.transforms.records.decoding.quiet import quietly
from melbeam.transforms.records.rejects import Reject

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="Linux alone has descriptors of a thread"
)


def test_results_and_errors_come_through():
    assert quietly(lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        quietly(lambda: 1 // 0)


def test_only_the_function_is_silent(capfd):
    inside, outside = threading.Event(), threading.Event()

    def prints():
        os.write(1, b"hidden\n")
        os.write(2, b"hidden\n")
        inside.set()
        assert outside.wait(10)
        os.write(2, b"hidden\n")

    thread = threading.Thread(target=quietly, args=(prints,))
    thread.start()
    assert inside.wait(10)
    os.write(2, b"seen\n")
    outside.set()
    thread.join()
    os.write(1, b"seen too\n")
    assert capfd.readouterr() == ("seen too\n", "seen\n")


def test_the_processes_descriptors_stay_open():
    read, write = os.pipe()
    try:
        quietly(lambda: None)
        os.write(write, b"x")
        assert os.read(read, 1) == b"x"
    finally:
        os.close(read)
        os.close(write)


def test_a_forked_child_decodes_too():
    code = (
        "import os, sys\n"
        "from melbeam.transforms.records.decoding.quiet import quietly\n"
        "quietly(lambda: None)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os._exit(quietly(lambda: 7))\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 7


def test_many_threads_at_once():
    results = []
    threads = [threading.Thread(target=lambda n=n: results.append(quietly(lambda: n))) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(50))


def test_mpg123_says_nothing(capfd):
    """libsndfile's MP3 decoder prints a line for many a damaged frame."""
    clip = encode(0.1 * np.random.default_rng(7).standard_normal(48000), kind="MP3")
    rng = np.random.default_rng(1)
    printed = 0
    for _ in range(60):
        data = bytearray(clip)
        for position in rng.integers(300, len(data), 20):
            data[position] ^= 255
        with soundfile.SoundFile(io.BytesIO(data)) as damaged:  # as it is without us
            damaged.read()
        printed += bool(capfd.readouterr().err)
        with suppress(Reject):
            decode_audio(bytes(data), sampling_rate=16000)
        assert capfd.readouterr() == ("", "")
    assert printed > 5
