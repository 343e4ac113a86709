"""Servers that a rehearsal and the engines' tests start."""

import os
import sys
import time
import urllib.request

import pytest

import processes

# It starts another process, which would outlive it, and says that one's number.
SERVER = """
import http.server, subprocess, sys
other = subprocess.Popen([sys.executable, "-c", "import time; print('waits', flush=True); time.sleep(600)"])
print(other.pid, flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def is_there(pid):
    """This tells whether a process runs; one that has ended may wait for whoever adopted it to look."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="it looks for processes in /proc")
def test_a_server_answers_and_goes_with_all_that_it_started(tmp_path):
    port, log = processes.free_port(), tmp_path / "log"
    with processes.serving([sys.executable, "-c", SERVER, port], port, log) as process:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert answer.status == 200
        other = next(int(line) for line in log.read_text().splitlines() if line.isdigit())
        assert is_there(process.pid)
        assert is_there(other)
    deadline = time.monotonic() + 30
    while is_there(other) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_there(other)
    assert process.returncode is not None


def test_a_server_that_ends_is_told_with_its_last_words(tmp_path):
    port = processes.free_port()
    with (
        pytest.raises(processes.Failed, match="does not answer\nno room"),
        processes.serving([sys.executable, "-c", "raise SystemExit('no room')"], port, tmp_path / "log"),
    ):
        pytest.fail("it never answered")
