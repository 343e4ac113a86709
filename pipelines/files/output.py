"""Whether a job can write where it was told to, before it does anything."""

from __future__ import annotations

import os

from melbeam.pipelines.folder_names import BadFolder
from melbeam.pipelines.refusals import Refusal

_TO_WRITE = os.W_OK | os.X_OK


def check_writable(path: str, given: str) -> None:
    """Returns if files can be made in a local folder, which need not be there yet; this makes nothing.

    Args:
        path: the folder.
        given: the argument that asks for it, for the message.

    Raises:
        BadFolder: a file stands there, or where a folder above it would be; or nothing may be written there.
    """
    there = path
    while there and not os.path.lexists(there):
        above = os.path.dirname(there.rstrip("/"))
        if above == there:
            break
        there = above
    there = there or "."
    if not os.path.isdir(there):
        what = "a link to nothing" if not os.path.exists(there) else "a file, not a folder"
        raise BadFolder(Refusal.OUTPUT_IS_A_FILE, f"{given}: {there} is {what}: choose another folder")
    if not os.access(there, _TO_WRITE):
        raise BadFolder(
            Refusal.OUTPUT_IS_CLOSED, f"{given}: nothing may be written into {there}: choose another folder"
        )
    longest = _longest_name(there)
    too_long = [part for part in path.split("/") if len(os.fsencode(part)) > longest]
    if too_long:
        raise BadFolder(
            Refusal.NAME_IS_TOO_LONG,
            f"{given}: {too_long[0]!r} is longer than the {longest} bytes that a name may have",
        )


def _longest_name(folder: str) -> int:
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # a system that does not say
        return 255
