"""How many cores and how much memory this process may use, which in a container is less than the machine has."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def num_cores() -> int:
    """The cores that this process may keep busy: those it may run on, and no more than its container's share."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = _words("cpu.max") or [*_words("cpu/cpu.cfs_quota_us"), *_words("cpu/cpu.cfs_period_us")]
    if len(share) != 2 or not all(word.isdecimal() for word in share):  # "max", or -1
        return cores
    quota, period = map(int, share)
    return min(cores, max(1, math.ceil(quota / max(1, period))))


def memory_bytes() -> int | None:
    """The bytes of memory of this machine, or of its container; None where the system does not tell."""
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, ValueError, OSError):
        return None
    limits = [*_words("memory.max"), *_words("memory/memory.limit_in_bytes")]
    return min(found + [int(limit) for limit in limits if limit.isdecimal()])


def _words(name: str) -> list[str]:
    """The words in a file of the container's limits, of the second or the first version of cgroups."""
    try:
        return (_CGROUPS / name).read_text().split()
    except OSError:
        return []
