"""Programs that a rehearsal runs: commands that must end well in time, and servers that must answer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SERVER_SECONDS = 60


class Failed(Exception):
    """The rehearsal found a fault."""


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
        raise Failed(f"{Path(command[0]).name} took longer than {seconds} s\n{output[-3000:]}") from None
    if process.returncode:
        raise Failed(f"{Path(command[0]).name} ended with status {process.returncode}\n{output[-3000:]}")
    return output


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def serving(command: list[Any], port: int, log: Path, env: dict[str, str]) -> Iterator[None]:
    """A server, once it answers; stopped with all that it started."""
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command], stdout=output, stderr=output, env=env, start_new_session=True
        )
    try:
        deadline = time.monotonic() + SERVER_SECONDS
        while True:
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{Path(command[0]).name} does not answer\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.1)
        yield
    finally:
        try:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
