"""A Python of its own beside this one, and a connection to it: no fork of a process that has threads."""

from __future__ import annotations

import signal
import subprocess
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any


def start(module: str, **streams: Any) -> tuple[subprocess.Popen[bytes], Connection]:
    """Starts an interpreter that runs a module's `serve`, which gets the handle of its end of the connection.

    Args:
        module: by its full name.
        **streams: `stdin`, `stdout` and `stderr`, as `subprocess.Popen` takes them.

    Returns:
        The process, and this side's end of the connection.

    Raises:
        OSError: the process cannot be started.
    """
    ours, theirs = Pipe()
    # The path as it is here, as multiprocessing does it; "" would be another folder's modules.
    code = f"import sys; sys.path[:] = {sys.path!r}; from {module} import serve; serve({theirs.fileno()})"
    with theirs:
        process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[theirs.fileno()], **streams)
    return process, ours


def ending_in_words(status: int) -> str:
    """Why a process ended, of its exit status, which is negative for a signal."""
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name
