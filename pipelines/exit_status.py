"""The exit statuses of every job."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from melbeam.pipelines import words

EXIT_OK = 0  # all well; for a detached submission: it was accepted
EXIT_FAILED = 1  # the job failed, or `verify` found a fault
EXIT_REFUSED = 2  # the call was wrong, or the output folder was refused; `refusals` has the kinds
EXIT_REJECTS = 3  # the job finished, but with more rejects than --max_reject_fraction


def leave_with(main: Callable[[], int]) -> NoReturn:
    """Runs a command and ends the process with its status.

    A job that failed or was interrupted may have left threads at work in native code. The interpreter's own end
    would cut those off in the middle, and the C++ runtime then aborts the process ("terminate called without an
    active exception"), with another status; so here it ends at once.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that a terminal's encoding lacks, in somebody's id for example, ends no job: it is escaped,
        # as it is on stderr.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = main()
    except KeyboardInterrupt:  # before the job began, or once more while it ended
        words.say("interrupted")
        status = EXIT_FAILED
    if status == EXIT_FAILED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
