"""What a command's option names as a front end, or why there is none."""

from __future__ import annotations

from pathlib import Path

from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.presets import NotFetchedError, UnknownNameError, find_front_end


def front_end_or_refusal(name: FrontEnd | str | Path) -> FrontEnd:
    """`find_front_end`, for a command.

    Raises:
        UsageError: nothing is called so, it cannot be fetched, or what it names is wrong.
    """
    try:
        return find_front_end(name)
    except UnknownNameError as error:
        raise UsageError(Refusal.UNKNOWN_FRONT_END, str(error)) from error
    except NotFetchedError as error:
        raise UsageError(Refusal.NOT_FETCHED, str(error)) from error
    except ValueError as error:
        raise UsageError(Refusal.BAD_FRONT_END, str(error)) from error
