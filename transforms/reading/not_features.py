"""This tells what lies where finished features were expected, and which folder may be meant, to end a message."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable, Iterable

from melbeam.transforms.folder_layout import (
    JOB,
    SUMMARY,
    SplitFolder,
    folder_kept_in,
    of_all_splits,
    shards_of,
)
from melbeam.transforms.reading.storage import is_local, read_file

# Gives the paths of the files that a glob names.
Find = Callable[[str], Iterable[str]]
# `features/1.0.0` lies one below `features`, and two below the folder of a project.
_LEVELS_BELOW = (1, 2)
_NAMED = 3


def _find_locally(pattern: str) -> Iterable[str]:
    return glob.glob(pattern) if is_local(pattern) else ()


def why_no_features(path: str, find: Find = _find_locally) -> str:
    """Says why a folder holds no finished features, as far as can be seen, and what to do, in a clause.

    Args:
        path: of the folder, without a slash at its end.
        find: how files are found; by default only those of this machine are.
    """
    if is_local(path) and not os.path.exists(path):
        return f"there is no folder {path}"
    if is_local(path) and os.path.isfile(path):
        return f"it is a file: name its folder, {os.path.dirname(path) or '.'}"
    splits = [SplitFolder.holding(job) for job in sorted(find(of_all_splits(path, JOB)))]
    features = [split for split in splits if not is_of_ingest(split)]
    if splits and not features:
        return f"it holds audio, {how_to_extract(splits[0])}"
    finished = set(find(of_all_splits(path, SUMMARY)))
    if unfinished := [split.split for split in features if split.summary not in finished]:
        return (
            f"{', '.join(unfinished)} is not finished: the same `melbeam extract` goes on where it stopped, and "
            f"`melbeam report {path}` shows what is done"
        )
    if meant := folders_meant(path, find):
        return f"did you mean {' or '.join(meant)}?"
    return f"{path} is not what a finished `melbeam extract` leaves"


def folders_meant(path: str, find: Find = _find_locally) -> list[str]:
    """Returns the folders above or below one, three at most, that hold splits of features, or else of audio."""
    if (above := folder_kept_in(path)) is not None:
        return [above]
    for level in _LEVELS_BELOW:
        splits = [SplitFolder.holding(job) for job in sorted(find(of_all_splits(path, JOB, below=level)))]
        features = [split for split in splits if not is_of_ingest(split)]
        if splits:
            return list(dict.fromkeys(split.output for split in features or splits))[:_NAMED]
    return []


def is_of_ingest(split: SplitFolder) -> bool:
    """Returns whether `melbeam ingest` made a split, so that it is one of audio."""
    try:
        return "ingest_version" in json.loads(read_file(split.job) or b"{}").get("identity", {})
    except (ValueError, OSError, AttributeError, TypeError):  # torn, or another's
        return False


def how_to_extract(split: SplitFolder) -> str:
    """Says which command makes features of a split of audio, in a clause."""
    pattern = f"{split.output}/{shards_of(split.split)}"
    return (
        f"which `melbeam ingest` wrote: `melbeam extract --input='{pattern}' --output=FOLDER` makes features of it"
    )
