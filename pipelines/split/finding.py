"""Finds the splits of a folder, and tells what there is in place of them where there are none."""

from __future__ import annotations

from melbeam.pipelines import files
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.transforms.folder_layout import JOB, SplitFolder, of_all_splits
from melbeam.transforms.reading import not_features


def splits_of(output: str) -> list[SplitFolder]:
    """The splits that jobs have made in a folder, finished or not, by name.

    Raises:
        UsageError: there are none; the message says which folder may be meant.
    """
    found = splits_in(output)
    if not found:
        raise UsageError(
            Refusal.NO_FEATURES, f"{output} has no split that melbeam made: {why_no_features(output)}"
        )
    return found


def splits_in(output: str) -> list[SplitFolder]:
    """Returns the splits that jobs have made in a folder, finished or not, in the order of their names."""
    return [SplitFolder.holding(path) for path in _paths(of_all_splits(output, JOB))]


def has_no_split(output: str, split: str) -> str:
    """Says that a folder has no split of that name, and which it has."""
    return f"{output} has no split {split!r}; it has {', '.join(one.split for one in splits_in(output)) or 'none'}"


def why_no_features(output: str) -> str:
    """Says why a folder holds no finished features, and what to do, as the end of a sentence."""
    return not_features.why_no_features(output, _paths)


def finished_or_why(output: str) -> str:
    """Names the finished splits of a folder, or says why it has none, as the end of a sentence."""
    finished = [folder.split for folder in splits_in(output) if files.exists(folder.summary)]
    return f"it has {', '.join(finished)}" if finished else why_no_features(output)


def folders_meant(output: str) -> list[str]:
    """Returns the folders above or below one in which jobs have made splits."""
    return not_features.folders_meant(output, _paths)


def _paths(glob: str) -> list[str]:
    return [path for path, _ in files.match(glob)]
