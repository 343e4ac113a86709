"""The exit statuses of every job, and the error that stands for a wrong call."""

from __future__ import annotations

EXIT_OK = 0  # all well; for a detached submission: it was accepted
EXIT_FAILED = 1  # the job failed, or `verify` found a fault
EXIT_REFUSED = 2  # the call was wrong, or the output folder was refused
EXIT_REJECTS = 3  # the job finished, but with more rejects than --max_reject_fraction


class UsageError(ValueError):
    """The call was wrong: exit status 2."""
