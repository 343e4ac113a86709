"""A shard's report and a split's summary, as they are kept as JSON: read with every type checked.

Those of record version 1 are read too: they lack levels, distributions, the constant bins and the versions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from typing import Any, TypeVar, cast

import msgspec

from melbeam.pipelines import files, words
from melbeam.pipelines.refusals import Refusal
from melbeam.pipelines.split.finding import finished_or_why
from melbeam.pipelines.split.tally import Count, Tally
from melbeam.pipelines.tfrecord import file_crc32c
from melbeam.transforms.distributions import QUANTITIES
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.notebook import table
from melbeam.transforms.records.schema import INT64, RECORD_VERSION, why_newer
from melbeam.transforms.records.split_schema import SplitSchema

_Kept = TypeVar("_Kept", bound=Tally)


class UnusableSummary(ValueError):
    """A split's summary.json is there, but does not hold a summary that can be used.

    Attributes:
        refusal: the kind of refusal that it is to a job that needs it.
    """

    refusal = Refusal.UNUSABLE_SUMMARY


class NewerSummary(UnusableSummary):
    """A later melbeam wrote the split, whose counts may mean something else."""

    refusal = Refusal.NO_SPLIT


@dataclass
class FileMark:
    """What a file holds, for recognising it again.

    Attributes:
        num_records: in the file.
        size: of the file, in bytes.
        crc32c: of all its bytes.
    """

    num_records: Count
    size: Count
    crc32c: Count

    def confirms(self, path: str) -> bool:
        """Whether the file is there and holds exactly these bytes."""
        if not files.exists(path):
            return False
        with files.open_file(path) as file:
            return file_crc32c(file) == (self.crc32c, self.size)

    def seems_to_be(self, path: str, store_checksum: str | None) -> bool:
        """Whether the file is there and has this size, and what was recorded of it as it was committed.

        A local file was written through to its disk before its report was, so its size is enough. On a store, the
        store's own checksum must be the one that was recorded; where none was, the file is read.
        """
        found = files.state(path)
        if found is None or found[0] != self.size:
            return False
        if files.is_local(path):
            return True
        return self.confirms(path) if store_checksum is None else found[1] == store_checksum


@dataclass(kw_only=True)
class ShardReport(Tally):
    """The counts of one shard, and the files that hold what was counted.

    Attributes:
        job_hash: of the job that made it.
        index: the shard's number.
        num_shards: of the split.
        input_path: the file that its records were read from.
        input_size: of that file, in bytes.
        features: the shard of features.
        rejected: the shard's rejects; None where there are none.
        index_file: where each feature record lies; None before record version 2.
        table: the table of its records; None where it was made before there were any.
        first_record: the number of its first record in the input file: 0, but in parts of a large one.
        record_version: `RECORD_VERSION` as its records were written with.
        versions: of melbeam, and of the libraries that decide the bytes of features.
        store_checksums: an object store's own of each of the files, recorded as they were committed.
    """

    job_hash: str
    index: Count
    num_shards: Count
    input_path: str
    input_size: Count
    features: FileMark
    rejected: FileMark | None
    index_file: FileMark | None = None
    table: FileMark | None = None
    first_record: Count = 0
    record_version: Count = RECORD_VERSION
    versions: dict[str, str] = field(default_factory=dict)
    store_checksums: dict[str, str] = field(default_factory=dict)

    @property
    def input(self) -> tuple[str, int]:
        """The file that its records were read from, and its size."""
        return self.input_path, self.input_size

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON holds it."""
        return _to_json(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> ShardReport:
        """Inverse of `to_dict`; takes reports of record version 1 too.

        Raises:
            ValueError: a field is missing, or of another type; the message names it.
        """
        return _from_json(_of_any_version(fields), cls)


@dataclass(kw_only=True)
class SplitSummary(Tally):
    """The counts of a split.

    Attributes:
        shard_features: feature records of each shard, by its number.
        num_bytes: of all shards of features.
        shards_with_table: how many of them have a table of their records.
        record_version: the least that a shard's records were written with.
        versions: of melbeam and the libraries that decide the bytes of features: all that took part.
    """

    shard_features: dict[int, Count] = field(default_factory=dict)
    num_bytes: Count = 0
    shards_with_table: Count = 0
    record_version: Count = RECORD_VERSION
    versions: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: str, split: str = "train") -> SplitSummary:
        """The summary of a finished split.

        Args:
            folder: what `melbeam extract --output` wrote.
            split: its name.

        Raises:
            UnusableSummary: the summary is not what was written.
            FileNotFoundError: there is no such finished split; the message says what there is.
            OSError: it cannot be read.
        """
        of_split = SplitFolder(str(folder).rstrip("/"), split)
        try:
            return cls.read(of_split.summary)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{of_split.output} has no finished split {split!r}: {finished_or_why(of_split.output)}"
            ) from error

    def _repr_html_(self) -> str:
        """The summary as a notebook shows it."""
        rows: dict[str, Any] = {
            "records": f"{self.records_read:,} read = {self.records_converted:,} converted + "
            f"{self.num_rejects:,} rejected",
            "clips": f"{self.num_features:,}, {self.statistics.num_frames:,} frames",
            "shards": f"{len(self.shard_features):,}, {words.size(self.num_bytes)}",
        }
        for name, counts in (("rejected", self.rejects), ("changed", self.changes)):
            if counts:
                rows[name] = ", ".join(f"{count:,} {what}" for what, count in sorted(counts.items()))
        for name, quantity in QUANTITIES.items():
            distribution = self.distributions.get(name)
            if distribution is None or not distribution.least or not distribution.largest:
                continue
            values = distribution.mean(), distribution.least[0].value, distribution.largest[0].value
            is_share = quantity.unit == "share"
            mean, least, largest = (f"{100 * value:.3g} %" if is_share else f"{value:.4g}" for value in values)
            unit = "" if is_share else f" ({quantity.unit})"
            rows[quantity.title] = f"mean {mean}, from {least} to {largest}{unit}"
        return table("Split of features", rows)

    def add_shard(self, report: ShardReport) -> None:
        """Adds a shard."""
        versions = {name: [version] for name, version in report.versions.items()}
        self.shards_with_table += report.table is not None
        self._add({report.index: report.num_features}, report.features.size, report.record_version, versions)
        super().add(report)

    def add_summary(self, other: SplitSummary) -> None:
        """Adds other shards of the same split."""
        self.shards_with_table += other.shards_with_table
        self._add(other.shard_features, other.num_bytes, other.record_version, other.versions)
        super().add(other)

    def _add(
        self,
        shard_features: dict[int, int],
        num_bytes: int,
        record_version: int,
        versions: dict[str, list[str]],
    ) -> None:
        self.shard_features |= shard_features
        self.num_bytes += num_bytes
        self.record_version = min(self.record_version, record_version)
        for name, found in versions.items():
            self.versions[name] = sorted({*self.versions.get(name, []), *found})

    @property
    def has_tables(self) -> bool:
        """Whether every shard has a table of its records."""
        return 0 < self.shards_with_table == len(self.shard_features)

    def schema(self, front_end: FrontEnd) -> SplitSchema:
        """What the split's records hold."""
        return SplitSchema.of_counts(front_end, self.record_version, self.num_features, self.fields)

    def to_dict(self) -> dict[str, Any]:
        """The summary as JSON holds it; the shards' numbers of features become a list."""
        fields = _to_json(self)
        fields["shard_features"] = [count for _, count in sorted(self.shard_features.items())]
        return fields

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> SplitSummary:
        """Inverse of `to_dict`; takes summaries of record version 1 too.

        Raises:
            ValueError: a field is missing, or of another type; the message names it.
        """
        listed = fields.get("shard_features") if isinstance(fields, dict) else None
        if not isinstance(listed, list):
            raise ValueError(f"shard_features must be a list, got {str(listed)[:80]}")
        by_shard = {str(index): count for index, count in enumerate(listed)}
        return _from_json(_of_any_version({**fields, "shard_features": by_shard}), cls)

    @classmethod
    def read(cls, path: str) -> SplitSummary:
        """The summary that a finished split keeps in a file.

        Raises:
            UnusableSummary: it is not what was written, and the message says how it is had again.
            NewerSummary: a later melbeam wrote it.
            OSError: it is not there, or cannot be read.
        """
        try:
            content = files.read_json(path)
            # A later melbeam's may have other fields, too.
            if isinstance(content, dict) and (newer := why_newer(content.get("record_version"))):
                raise NewerSummary(f"{path}: {newer}")
            return cls.from_dict(content)
        except NewerSummary:
            raise
        except ValueError as error:
            raise UnusableSummary(
                f"{path}: it is no summary of a split ({error}); remove it and run that split's command again, "
                "which finds its shards done and writes the summary anew"
            ) from error


def _to_json(kept: Any) -> dict[str, Any]:
    return msgspec.to_builtins(kept, str_keys=True)


def _from_json(fields: Any, kind: type[_Kept]) -> _Kept:
    kept = msgspec.convert(fields, kind, str_keys=True)
    # msgspec leaves a default with the class and writes only what is an object's own: a field that an earlier
    # melbeam did not know would be lost when it is written again.
    vars(kept).update({field.name: getattr(kept, field.name) for field in dataclass_fields(cast(Any, kind))})
    return kept


def _of_any_version(fields: Any) -> Any:
    """The fields as they are now called, of a report or a summary of any version.

    Raises:
        ValueError: they are those of record version 1, but not as that wrote them.
    """
    if not isinstance(fields, dict) or "passthrough" not in fields:
        return fields
    try:
        return _of_version_1(fields)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"no report or summary of record version 1: {type(error).__name__}: {error}") from error


def _of_version_1(fields: dict[str, Any]) -> dict[str, Any]:
    fields = {"record_version": 1, **fields}
    if "shard_features" in fields:
        fields["num_features"] = sum(fields["shard_features"].values())
    counts: dict[str, Any] = {}
    for name, seen in fields.pop("passthrough").items():
        kinds = [kind for kind in seen["kinds"] if kind]
        if len(kinds) < len(seen["kinds"]) and len(kinds) < 2:
            continue  # some record's held no list at all, and then it was described to no reader
        # A record's list of no values made readers take a list of them all.
        most = max(2, seen["max"]) if seen["min"] == 0 else seen["max"]
        # Audio records were counted, which may be fewer than the feature records that they became.
        everywhere = seen["records"] == fields["records_converted"]
        records = fields["num_features"] if everywhere else seen["records"]
        counts[name] = {"kinds": dict.fromkeys(kinds, records if len(kinds) == 1 else 0), "most": most}
    if fields.get("changes", {}).get("chunked"):
        counts |= {name: {"kinds": {INT64: 0}, "most": 1} for name in ("chunk_index", "start_sample")}
    return {**fields, "fields": counts}
