"""What is counted of records: of a shard in its report, of a split in its summary. Merging is exact."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from melbeam.pipelines import words
from melbeam.transforms.distributions import BIN_WIDTHS, Distribution
from melbeam.transforms.records.conversion import Conversion
from melbeam.transforms.records.split_schema import NAMED_IDS, FieldCounts
from melbeam.transforms.statistics import BinStatistics

Count = Annotated[int, Meta(ge=0)]
EMPTY_TEXT = "empty_text"  # what the records of `empty_texts` are called in `named_ids`
_SUMS = (
    "records_read",
    "records_converted",
    "num_features",
    "num_samples",
    "microseconds",
    "unknown_lengths",
    "whole_texts",
    "empty_texts",
    "left_out",
    "damaged_bytes",
)


@dataclass(kw_only=True)
class Tally:
    """Counts over records; the same on every run over the same input.

    records_read = records_converted + the sum of `rejects`; bytes between records that belong to none are
    one reject each, `bad_framing`, counted as a record read, with their size in damaged_bytes.

    Attributes:
        records_read: audio records, and damages in their place.
        records_converted: those that became features.
        num_features: feature records: one for each record converted, or one a chunk, or a channel.
        num_samples: of all clips converted, at the front end's rate, before truncation; of each channel that
            became records of its own.
        microseconds: the length of all clips that `ingest` wrote, by their headers; 0 where clips were converted.
        unknown_lengths: clips written whose length no header tells.
        whole_texts: chunks whose text is that of their whole clip.
        empty_texts: feature records whose text says nothing; those without a text are none of them.
        left_out: clips that were not taken, since another split has them; they are not counted as read.
        damaged_bytes: of the input, that belong to no record.
        rejects: records turned away, by reason.
        changes: records whose audio was changed beyond computing features, by what was done.
        named_ids: the first records of each reason and change, and those of an empty text: their ids, or where
            they lie if they have none.
        fields: the fields that not every feature record has.
        statistics: sums of each mel bin over valid frames.
        distributions: the quantities of `BIN_WIDTHS` over feature records.
    """

    records_read: Count = 0
    records_converted: Count = 0
    num_features: Count = 0
    num_samples: Count = 0
    microseconds: Count = 0
    unknown_lengths: Count = 0
    whole_texts: Count = 0
    empty_texts: Count = 0
    left_out: Count = 0
    damaged_bytes: Count = 0
    rejects: dict[str, Count] = field(default_factory=dict)
    changes: dict[str, Count] = field(default_factory=dict)
    named_ids: dict[str, list[str]] = field(default_factory=dict)
    fields: dict[str, FieldCounts] = field(default_factory=dict)
    statistics: BinStatistics = field(default_factory=BinStatistics)
    distributions: dict[str, Distribution] = field(default_factory=dict)

    @property
    def num_rejects(self) -> int:
        """Records turned away."""
        return self.records_read - self.records_converted

    @property
    def reject_fraction(self) -> float:
        """Rejects as a share of the records read; 0 where none was read."""
        return self.num_rejects / self.records_read if self.records_read else 0.0

    def in_words(self, noun: str, kept: str) -> str:
        """What became of the records: `16 records read = 15 converted + 1 rejected`.

        Args:
            noun: what the job reads, in the singular.
            kept: what it does with one that is no reject.
        """
        read = words.count(self.records_read, noun)
        return f"{read} read = {self.records_converted} {kept} + {self.num_rejects} rejected"

    def count_reject(self, reason: str, name: str) -> None:
        """Counts a record that was turned away."""
        self.records_read += 1
        self._count(self.rejects, reason, name)

    def count_record(self, microseconds: int | None) -> None:
        """Counts a record that was written as it was read; `microseconds` is its length, where that is known."""
        if microseconds is None:
            self.unknown_lengths += 1
        else:
            self.microseconds += microseconds
        self.records_read += 1
        self.records_converted += 1
        self.num_features += 1

    def count_conversion(self, conversion: Conversion, shard: int) -> None:
        """Counts a record that became the next features of a shard, all but their sums.

        Those are for `statistics.add_clips`, which takes many at a time for little more than one.
        """
        self.records_read += 1
        self.records_converted += 1
        self.num_samples += conversion.num_samples
        for change in conversion.changes:
            self._count(self.changes, change, conversion.id)
        for record in conversion.features:
            self.whole_texts += record.has_text_of_whole_clip
            if record.has_empty_text:
                self.empty_texts += 1
                self._name(EMPTY_TEXT, self.empty_texts, record.id)
            for name, kind in record.kinds.items():
                if name not in self.fields:
                    self.fields[name] = FieldCounts()
                self.fields[name].add_record(kind, record.lengths[name], record.id)
            for name, value in record.measures.items():
                if name not in self.distributions:
                    self.distributions[name] = Distribution()
                width = BIN_WIDTHS[name]
                self.distributions[name].add_value(value, width, record.id, shard, self.num_features)
            self.num_features += 1

    def _count(self, counts: dict[str, Count], what: str, name: str) -> None:
        counts[what] = counts.get(what, 0) + 1
        self._name(what, counts[what], name)

    def _name(self, what: str, count: int, name: str) -> None:
        if count <= NAMED_IDS:
            self.named_ids.setdefault(what, []).append(name)

    def add(self, other: Tally) -> None:
        """Adds the counts of other records to these."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in ((self.rejects, other.rejects), (self.changes, other.changes)):
            for what, count in theirs.items():
                mine[what] = mine.get(what, 0) + count
        for what, names in other.named_ids.items():
            self.named_ids[what] = sorted({*self.named_ids.get(what, []), *names})[:NAMED_IDS]
        for name, counts in other.fields.items():
            self.fields.setdefault(name, FieldCounts()).add(counts)
        for name, distribution in other.distributions.items():
            self.distributions.setdefault(name, Distribution()).add(distribution)
        self.statistics.add(other.statistics)
