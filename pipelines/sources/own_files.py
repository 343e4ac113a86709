"""Leaves out of an input what a job wrote into its output, where that is a folder below the input's.

Who stands in a corpus types `--input=. --output=features/1.0.0`. The second start finds what the first one wrote,
and must plan the same shards as the first.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from melbeam.pipelines import files
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources.units import Found
from melbeam.transforms.folder_layout import (
    BOOKKEEPING,
    CARD,
    CROISSANT,
    DATASET_INFO,
    FEATURES,
    FRONT_END,
    JOB,
    REPORT_PAGE,
    STATISTICS,
    TABLES,
    ShardName,
    SplitFolder,
    of_all_splits,
)
from melbeam.transforms.reading.not_features import is_of_ingest

_OF_FEATURES = (CARD, CROISSANT, DATASET_INFO, FEATURES, FRONT_END, REPORT_PAGE, STATISTICS)


def without_own(found: Found, own: Sequence[SplitFolder]) -> Found:
    """Leaves out the splits of features in the folder that a job writes, and of audio those that it makes itself.

    Other files there are the input's: clips may lie in the same folder.

    Args:
        found: what one --input names.
        own: the splits that the job makes, all in one folder; none where it writes none.

    Raises:
        UsageError: nothing else is left.
    """
    prefix = _spelled_below(found.root, own[0].output) if own else None
    if prefix is None:
        return found
    made = {SplitFolder.holding(path) for path, _ in files.match(of_all_splits(own[0].output, JOB))}
    features = {folder.split for folder in made if not is_of_ingest(folder)}
    splits = features | {folder.split for folder in made.intersection(own)}
    if not splits:
        return found

    def is_own(path: str) -> bool:
        folder, _, name = path.removeprefix(prefix).rpartition("/")
        if not path.startswith(prefix):
            return False
        if folder == BOOKKEEPING or folder.startswith(f"{BOOKKEEPING}/"):
            return True
        if folder not in ("", TABLES):
            return False
        shard = ShardName.of_table(name) if folder else ShardName.parse(name)
        return (bool(features) and name in _OF_FEATURES) if shard is None else shard.split in splits

    paths = [(path, size) for path, size in found.paths if not is_own(path)]
    if found.paths and not paths:
        raise UsageError(
            Refusal.NO_INPUT,
            f"--input={found.pattern} names only what a job wrote into --output={own[0].output}: name the audio",
        )
    return replace(found, paths=paths)


def _spelled_below(folder: str, output: str) -> str | None:
    """How the paths below an input's folder spell the output, with a slash; None where it does not lie there."""
    if not files.is_local(output) or not files.is_local(folder or "."):
        return f"{output}/" if f"{output}/".startswith(folder) and folder else None
    below = os.path.relpath(os.path.realpath(output), os.path.realpath(folder or "."))
    if below.split("/")[0] == "..":
        return None
    return folder if below == "." else f"{folder}{below}/"
