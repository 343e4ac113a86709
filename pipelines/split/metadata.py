"""What a folder of features says about itself: totals of each split, statistics, and TFDS metadata.

`tfds.builder_from_directory` reads the folder as it is; TFDS is not needed to write it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from melbeam.pipelines import files
from melbeam.pipelines.split.commit import NAMED_IDS, ShardReport
from melbeam.pipelines.split.leftovers import half_written
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
from melbeam.transforms.statistics import BinStatistics

_TFDS = "tensorflow_datasets.core.features"
_DATASET_NAME = "melbeam_features"


@dataclass
class SplitSummary:
    """Totals over the shards of a split; merging is exact and its order does not show."""

    shard_features: dict[int, int] = field(default_factory=dict)
    num_bytes: int = 0
    records_read: int = 0
    records_converted: int = 0
    num_samples: int = 0
    damaged_bytes: int = 0
    rejects: dict[str, int] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    named_ids: dict[str, list[str]] = field(default_factory=dict)
    passthrough: dict[str, dict[str, Any]] = field(default_factory=dict)
    statistics: BinStatistics = field(default_factory=BinStatistics)

    @property
    def num_features(self) -> int:
        """Feature records: the records converted, or the chunks of long ones."""
        return sum(self.shard_features.values())

    @property
    def num_rejects(self) -> int:
        """Records turned away."""
        return self.records_read - self.records_converted

    @property
    def reject_fraction(self) -> float:
        """Of the records read."""
        return self.num_rejects / self.records_read if self.records_read else 0.0

    @classmethod
    def of(cls, report: ShardReport) -> SplitSummary:
        """Of one shard."""
        return cls(
            {report.index: report.num_features},
            report.features.size,
            report.records_read,
            report.records_converted,
            report.num_samples,
            report.damaged_bytes,
            report.rejects,
            report.changes,
            report.named_ids,
            report.passthrough,
            report.statistics,
        )

    def add(self, other: SplitSummary) -> None:
        """Adds the totals of other shards to these."""
        self.shard_features |= other.shard_features
        for name in ("num_bytes", "records_read", "records_converted", "num_samples", "damaged_bytes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in ((self.rejects, other.rejects), (self.changes, other.changes)):
            for what, count in theirs.items():
                mine[what] = mine.get(what, 0) + count
        for what, ids in other.named_ids.items():
            self.named_ids[what] = sorted({*self.named_ids.get(what, []), *ids})[:NAMED_IDS]
        for name, seen in other.passthrough.items():
            mine_seen = self.passthrough.setdefault(name, {**seen, "kinds": [], "records": 0})
            mine_seen["kinds"] = sorted({*mine_seen["kinds"], *seen["kinds"]})
            mine_seen["records"] += seen["records"]
            mine_seen["min"] = min(mine_seen["min"], seen["min"])
            mine_seen["max"] = max(mine_seen["max"], seen["max"])
        self.statistics.add(other.statistics)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it; the shards' numbers of features become a list."""
        fields = asdict(self)
        fields["shard_features"] = [count for _, count in sorted(self.shard_features.items())]
        return fields

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> SplitSummary:
        """Inverse of `to_dict`."""
        return cls(
            **{
                **fields,
                "shard_features": dict(enumerate(fields["shard_features"])),
                "statistics": BinStatistics.from_dict(fields["statistics"]),
            }
        )


def write_metadata(
    folder: SplitFolder, summary: SplitSummary, front_end: FrontEnd, options: RecordOptions
) -> None:
    """Writes the split's summary, and the folder's metadata anew from the summaries of all its splits.

    All shards are done by now: what starts that were killed were writing is removed.
    """
    files.write_json(folder.summary, summary.to_dict())
    written: dict[str, SplitSummary] = {}
    # Of splits that end at the same moment, the last one to write has read the summaries of them all.
    while written != (summaries := _summaries(folder.output)):
        for name, content in metadata(summaries, front_end, options).items():
            files.write_json(f"{folder.output}/{name}", content, half_written_in=folder.bookkeeping)
        written = summaries
    files.delete(half_written(folder))


def _summaries(output: str) -> dict[str, SplitSummary]:
    return {
        SplitFolder.holding(path).split: SplitSummary.from_dict(files.read_json(path))
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
        FEATURES: _features_json(summaries, front_end, options),
        DATASET_INFO: _dataset_info(summaries, front_end),
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


def _dataset_info(summaries: dict[str, SplitSummary], front_end: FrontEnd) -> dict[str, Any]:
    return {
        "name": _DATASET_NAME,
        "version": "1.0.0",
        "description": f"Log-mel features of front end {front_end.name}, fingerprint {front_end.fingerprint}.",
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


def _features_json(
    summaries: dict[str, SplitSummary], front_end: FrontEnd, options: RecordOptions
) -> dict[str, Any]:
    features = {
        "id": _text(),
        "front_end": _text(),
        "source": _text(),
        "num_frames": _scalar("int64"),
        "num_samples": _scalar("int64"),
        "sampling_rate": _scalar("int64"),
        "input_features": {
            "pythonClassName": f"{_TFDS}.tensor_feature.Tensor",
            "tensor": {
                "shape": {"dimensions": ["-1", str(front_end.num_mels)]},
                "dtype": options.dtype,
                "encoding": "bytes" if options.encoding == "bytes" else "none",
            },
        },
    }
    if front_end.frames_per_token is not None:
        features["num_audio_tokens"] = _scalar("int64")
    merged = SplitSummary()
    for summary in summaries.values():
        merged.add(summary)
    for name, seen in merged.passthrough.items():
        feature = _passed_through(seen, always=seen["records"] == merged.records_converted)
        if feature is not None:
            features[name] = feature
    if merged.changes.get("chunked"):
        # Only the records that are chunks have them.
        features["chunk_index"] = _sequence(_scalar("int64"))
        features["start_sample"] = _sequence(_scalar("int64"))
    return {
        "pythonClassName": f"{_TFDS}.features_dict.FeaturesDict",
        "featuresDict": {"features": features},
    }


def _passed_through(seen: dict[str, Any], always: bool) -> dict[str, Any] | None:
    """A scalar where every record has just one value; else a sequence. Mixed kinds cannot be described."""
    if len(seen["kinds"]) != 1 or not seen["kinds"][0]:
        return None
    kind = seen["kinds"][0]
    feature = {"bytes_list": _text(), "int64_list": _scalar("int64"), "float_list": _scalar("float32")}[kind]
    return feature if always and seen["min"] == seen["max"] == 1 else _sequence(feature)


def _text() -> dict[str, Any]:
    return {"pythonClassName": f"{_TFDS}.text_feature.Text", "text": {}}


def _scalar(dtype: str) -> dict[str, Any]:
    return {
        "pythonClassName": f"{_TFDS}.scalar.Scalar",
        "tensor": {"shape": {}, "dtype": dtype, "encoding": "none"},
    }


def _sequence(feature: dict[str, Any]) -> dict[str, Any]:
    return {
        "pythonClassName": f"{_TFDS}.sequence_feature.Sequence",
        "sequence": {"feature": feature, "length": "-1"},
    }
