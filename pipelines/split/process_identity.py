"""Which process this is, so that another one can tell whether it is still there.

A host's name and a process id do not say it: two containers of one name both have a process 1, and a number is
given to another process once the first is gone. Linux has what does: the kernel's boot, the namespace that the
number belongs to, and when the process began.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

_BEGAN = 19  # of the fields of /proc/PID/stat behind the program's name, counted from 0: proc(5), starttime


def machine() -> str:
    """The boot of this machine's kernel and the namespace of this process's number; "" where that cannot be told.

    Equal machines of two processes mean that each sees the other under its number.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        # Without /proc there are no containers that share a name, except on a Linux that hides it.
        return "" if sys.platform == "linux" else socket.gethostname()


def began(pid: int) -> str:
    """When the process of that number began, in the kernel's ticks; "" where that cannot be told."""
    try:
        # The program's name, in parentheses, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return fields[_BEGAN]
    except (OSError, IndexError):
        return ""


def is_gone(machine_of: str, pid: int, began_at: str) -> bool:
    """Whether it is certain that a process is gone: one of another machine, say, is not known to be.

    Args:
        machine_of: what `machine` said in that process.
        pid: its number.
        began_at: what `began` said of it.
    """
    if not machine_of or machine_of != machine():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass
    return bool(began_at) and bool(began(pid)) and began(pid) != began_at
