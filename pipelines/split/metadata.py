"""What a folder of features says about itself: totals of each split, statistics, and TFDS metadata.

`tfds.builder_from_directory` reads the folder as it is; TFDS is not needed to write it.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

import msgspec

from melbeam.pipelines import files
from melbeam.pipelines.split.card import card, is_edited
from melbeam.pipelines.split.croissant import croissant, tabled_splits
from melbeam.pipelines.split.finding import splits_in
from melbeam.pipelines.split.job_file import UnusableJobFile, read_job
from melbeam.pipelines.split.leftovers import half_written
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.transforms.folder_layout import (
    CARD,
    CROISSANT,
    DATASET_INFO,
    FEATURES,
    FRONT_END,
    STATISTICS,
    SUMMARY,
    TFDS_FILE_TEMPLATE,
    TFDS_VERSION,
    SplitFolder,
    of_all_splits,
)
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.schema import TAIL
from melbeam.transforms.records.split_schema import SplitSchema

_DATASET_NAME = "melbeam_features"
_LOG = logging.getLogger("melbeam")


def write_metadata(
    folder: SplitFolder, summary: SplitSummary, front_end: FrontEnd, options: RecordOptions
) -> None:
    """Writes the split's schema and summary, and the folder's metadata anew from the summaries of all its splits.

    All shards are done by now: what starts that were killed were writing is removed.
    """
    files.write_json(folder.schema, msgspec.to_builtins(summary.schema(front_end)))
    files.write_json(folder.summary, summary.to_dict())
    written: dict[str, SplitSummary] = {}
    # Of splits that end at the same moment, the last one to write has read the summaries of them all.
    while written != (summaries := read_summaries(folder.output)):
        name = dataset_name(folder.output)
        for file, content in metadata(summaries, front_end, options, name).items():
            path = f"{folder.output}/{file}"
            content = {**_added_by_its_owner(path, content), **content} if file == CROISSANT else content
            files.write_json(path, content, half_written_in=folder.bookkeeping)
        _write_card(folder, card(summaries, front_end, options, name))
        written = summaries
    files.delete(half_written(folder))


def read_summaries(output: str) -> dict[str, SplitSummary]:
    """The summaries of the folder's finished splits, by the split's name.

    Raises:
        UnusableSummary: one of them is not what was written.
    """
    return {
        SplitFolder.holding(path).split: SplitSummary.read(path)
        for path, _ in files.match(of_all_splits(output, SUMMARY))
    }


def dataset_name(output: str) -> str | None:
    """The name that TFDS finds a folder by, as the job of one of its splits was given it; None where none was."""
    for folder in splits_in(output):
        with suppress(UnusableJobFile):  # which says of no job what it is
            name = (read_job(folder) or {}).get("dataset_name")
            if name is not None:
                return str(name)
    return None


def _added_by_its_owner(path: str, content: dict[str, Any]) -> dict[str, Any]:
    """What a JSON file has under other names than ours, its licence for example."""
    try:
        found = files.read_json(path)
    except (FileNotFoundError, files.TornFile):
        return {}
    return {name: value for name, value in found.items() if name not in content} if isinstance(found, dict) else {}


def _write_card(folder: SplitFolder, content: bytes) -> None:
    """Writes the folder's card, but never over one that somebody edited."""
    path = f"{folder.output}/{CARD}"
    if files.exists(path) and is_edited(files.read_bytes(path)):
        _LOG.info("%s was edited: it stays as it is", path)
        return
    files.write_bytes(path, content, half_written_in=folder.bookkeeping)


def metadata(
    summaries: dict[str, SplitSummary], front_end: FrontEnd, options: RecordOptions, name: str | None
) -> dict[str, dict[str, Any]]:
    """What the files at the top of the folder say of its finished splits: name to JSON value, in writing order.

    Args:
        summaries: by split.
        front_end: of the features.
        options: how they are stored.
        name: as `dataset_name` gives it.
    """
    rate, called = front_end.sampling_rate, name or _DATASET_NAME
    content: dict[str, dict[str, Any]] = {
        FRONT_END: {"front_end": front_end.to_dict(), "fingerprint": front_end.fingerprint},
        STATISTICS: {"splits": {name: _statistics(summary, rate) for name, summary in summaries.items()}},
        FEATURES: SplitSchema.union(s.schema(front_end) for s in summaries.values()).to_tfds(front_end, options),
        DATASET_INFO: _dataset_info(summaries, front_end, options, called),
    }
    if tabled_splits(summaries):
        content[CROISSANT] = croissant(summaries, called, description(front_end))
    return content


def _statistics(summary: SplitSummary, sampling_rate: int) -> dict[str, Any]:
    filled = summary.statistics.num_frames > 0
    return {
        "records_read": summary.records_read,
        "records_converted": summary.records_converted,
        "records_rejected": summary.num_rejects,
        "num_features": summary.num_features,
        "num_frames": summary.statistics.num_frames,
        "seconds": summary.num_samples / sampling_rate,
        "damaged_bytes": summary.damaged_bytes,
        "rejects": summary.rejects,
        "changes": summary.changes,
        "named_ids": summary.named_ids,
        "per_bin_mean": summary.statistics.mean() if filled else None,
        "per_bin_stddev": summary.statistics.stddev() if filled else None,
    }


def description(front_end: FrontEnd) -> str:
    """What TFDS shows of the features."""
    return f"Log-mel features of front end {front_end.name}, fingerprint {front_end.fingerprint}."


def _dataset_info(
    summaries: dict[str, SplitSummary], front_end: FrontEnd, options: RecordOptions, name: str
) -> dict[str, Any]:
    text = description(front_end)
    # The split that is stored compact need not be the one that ended last, whose options these are.
    is_compact = not options.pads(front_end) or any(TAIL in summary.fields for summary in summaries.values())
    if front_end.takes_full_length and is_compact:
        text += (
            f" Clips are stored compact, and the model takes {front_end.padded_frames} frames with no mask: "
            "behind `input_features` come the rows of `input_features_tail`, the last of them repeated up to that "
            "length. melbeam's read_features does so."
        )
    return {
        "name": name,
        "version": TFDS_VERSION,
        "description": text,
        "fileFormat": "tfrecord",
        "splits": [
            {
                "name": split,
                "filepathTemplate": TFDS_FILE_TEMPLATE,
                "numBytes": str(summary.num_bytes),
                "shardLengths": [str(count) for _, count in sorted(summary.shard_features.items())],
            }
            for split, summary in sorted(summaries.items())
        ],
    }
