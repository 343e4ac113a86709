"""Checks names of folders and files as a person gives them. Nothing here imports Beam."""

from __future__ import annotations

import os
import re

from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.transforms.reading.storage import is_local

# A name with `..` behind it.
_LEADS_BACK = re.compile(r"(^|/)(?!\.{1,2}/)[^/]+/+(\./+)*\.\.(/|$)")


class BadFolder(UsageError):
    """No job can work in the folder that was given."""


def folder_path(given: str, name: str) -> str:
    """A folder as it was given, without the slashes at its end, and without `..` behind a name.

    A folder that is not there yet, and from which `..` leads away again, would else be made, and go when it is
    empty: with it would go the way to the folder that was meant.

    Args:
        given: the folder.
        name: of the argument, `--output` for example, for the message.

    Raises:
        BadFolder: it is empty, the root of a file system, no path, or not UTF-8.
    """
    path = given.rstrip("/")
    if not given.strip():
        raise BadFolder(Refusal.NO_FOLDER_NAME, f"{name} is empty: name a folder")
    if not path or path.endswith(":"):
        raise BadFolder(
            Refusal.NO_FOLDER_NAME, f"{name}={given} is the root of a file system: name a folder below it"
        )
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise BadFolder(Refusal.NO_FOLDER_NAME, f"{name}={os.fsencode(given)!r} {_not_utf8(given)}") from error
    if "\0" in path:
        raise BadFolder(Refusal.NO_FOLDER_NAME, f"{name}={given!r} is no path: it holds a null character")
    if is_local(path) and _LEADS_BACK.search(path):
        real = os.path.realpath(path)
        return real if path.startswith("/") else os.path.relpath(real)
    return path


def _not_utf8(given: str) -> str:
    try:
        os.fsencode(given).decode()
    except UnicodeDecodeError:
        return (
            "is not UTF-8, in which TensorFlow and Beam name files: "
            "rename it, or reach it by a link of another name"
        )
    return "is UTF-8, and the command line is read in another encoding: set LC_ALL=C.UTF-8 or PYTHONUTF8=1"


def file_to_write(given: str | None, option: str) -> str | None:
    """A file as it was given; None where none was.

    Raises:
        UsageError: it is empty, as of a variable that is not set.
    """
    if given is not None and not given.strip():
        raise UsageError(Refusal.BAD_VALUE, f"{option} is empty: name a file, or leave it out")
    return given
