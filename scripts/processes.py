"""Programs that a rehearsal and tests of engines run: commands that must end in time, servers that must answer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SERVER_SECONDS = 90  # until a server answers; Flink's takes long on a busy machine
END_SECONDS = 10  # that a server has to end by itself
LAST_WORDS = 4000  # characters of what a program printed, in a message


class Failed(Exception):
    """A program did not do what it must, or a rehearsal found a fault."""


def run(command: list[Any], *, seconds: int, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """The output of a command that must end well, in time; else it is ended with all that it started."""
    process = subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=env,
        cwd=cwd,
        start_new_session=True,
    )
    try:
        output = process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output = process.communicate()[0]
        raise Failed(f"{Path(command[0]).name} took longer than {seconds} s\n{output[-LAST_WORDS:]}") from None
    if process.returncode:
        raise Failed(f"{Path(command[0]).name} ended with status {process.returncode}\n{output[-LAST_WORDS:]}")
    return output


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def serving(
    command: list[Any], port: int, log: Path, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A server, once it answers on a port of this machine; at the end it is stopped with all that it started.

    Args:
        command: that starts it.
        port: that it is told to listen on.
        log: the file that gets what it prints.
        env: its environment; by default this process's.

    Raises:
        Failed: it ended, or did not answer in time; with the last of its words.
    """
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + SERVER_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-LAST_WORDS:]
                raise Failed(f"{Path(command[0]).name} does not answer\n{said}")
            time.sleep(0.1)
        yield process
    finally:
        _stop(process)


def _answers(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Asks a program to end, and ends it and all that it started where they are still there."""
    with suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(END_SECONDS)
    with suppress(ProcessLookupError):  # what it started may outlive it
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
