"""What a folder of features says about itself: totals of each split, statistics, and TFDS metadata.

`tfds.builder_from_directory` reads the folder as it is; TFDS is not needed to write it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from melbeam.pipelines import files
from melbeam.pipelines.split.leftovers import half_written
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.transforms.folder_layout import (
    DATASET_INFO,
    FEATURES,
    FRONT_END,
    STATISTICS,
    TFDS_FILE_TEMPLATE,
    SplitFolder,
    of_all_splits,
)
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.split_schema import SplitSchema

_DATASET_NAME = "melbeam_features"


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
        for name, content in metadata(summaries, front_end, options).items():
            files.write_json(f"{folder.output}/{name}", content, half_written_in=folder.bookkeeping)
        written = summaries
    files.delete(half_written(folder))


def read_summaries(output: str) -> dict[str, SplitSummary]:
    """The summaries of the folder's finished splits, by the split's name.

    Raises:
        UnusableSummary: one of them is not what was written.
    """
    return {
        SplitFolder.holding(path).split: SplitSummary.read(path)
        for path, _ in files.match(of_all_splits(output, "summary.json"))
    }


def metadata(
    summaries: dict[str, SplitSummary], front_end: FrontEnd, options: RecordOptions
) -> dict[str, dict[str, Any]]:
    """What the files at the top of the folder say of its finished splits: name to JSON value, in writing order."""
    rate = front_end.sampling_rate
    return {
        FRONT_END: {"front_end": front_end.to_dict(), "fingerprint": front_end.fingerprint},
        STATISTICS: {"splits": {name: _statistics(summary, rate) for name, summary in summaries.items()}},
        FEATURES: SplitSchema.union(s.schema(front_end) for s in summaries.values()).to_tfds(front_end, options),
        DATASET_INFO: _dataset_info(summaries, front_end, options),
    }


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
    summaries: dict[str, SplitSummary], front_end: FrontEnd, options: RecordOptions
) -> dict[str, Any]:
    text = description(front_end)
    if front_end.takes_full_length and not options.pads(front_end):
        text += (
            f" Clips are stored compact, and the model takes {front_end.padded_frames} frames with no mask: "
            "behind `input_features` come the rows of `input_features_tail`, the last of them repeated up to that "
            "length. melbeam's read_features does so."
        )
    return {
        "name": _DATASET_NAME,
        "version": "1.0.0",
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
