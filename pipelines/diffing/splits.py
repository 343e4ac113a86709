"""Two splits held against each other: records that one lacks, and how far apart the others are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from melbeam.pipelines.diffing.pairs import NO_PARTNER, hashes_of, pair
from melbeam.transforms.reading.arrays import DEFAULTS
from melbeam.transforms.reading.folder import FeatureFolder
from melbeam.transforms.reading.records import FolderRecords
from melbeam.transforms.records.schema import TAIL, TENSOR

# Where a record came from is no difference of its own, the front end is that of the whole folder, and what lies
# behind a clip's frames is compared as the rows that a reader gets.
NOT_COMPARED = ("source", "front_end", TAIL)


@dataclass
class Named:
    """Records of some kind: how many, and the ids of the first ones, as they are."""

    count: int = 0
    ids: list[str] = field(default_factory=list)

    def add(self, record_id: bytes, most: int) -> None:
        """Counts a record, and names it where it is among the first."""
        self.count += 1
        if len(self.ids) < most:
            self.ids.append(_text(record_id))


@dataclass
class Farthest:
    """The place where two records are farthest apart.

    Attributes:
        difference: absolute; infinite where one of the two is no number.
        id: of the record.
        frame: of the value, from 0.
        bin: likewise.
        a: the value in A.
        b: the value in B.
    """

    difference: float
    id: str
    frame: int
    bin: int
    a: float
    b: float


@dataclass
class SplitDifference:
    """How two splits differ.

    Attributes:
        num_records: of A and of B.
        repeated: ids that A, and that B, has more than once.
        only_in_a: records of which B has none of the same id, or fewer of them.
        only_in_b: likewise.
        columns_only_in_a: fields that no record of B has.
        columns_only_in_b: likewise.
        not_compared: fields whose values are of several types, or of another type in B.
        other_frames: pairs whose numbers of frames differ.
        other_features: pairs that have a feature further apart than the tolerance.
        other_fields: by field, pairs in which it differs.
        num_equal: pairs without any difference.
        not_restored: pairs of which one is stored without what lies behind its frames, so that these alone could
            be compared.
        num_values: features that were compared.
        sum_of_squares: of the differences of those that are finite.
        farthest: None where all are equal.
    """

    num_records: tuple[int, int]
    repeated: tuple[int, int] = (0, 0)
    only_in_a: Named = field(default_factory=Named)
    only_in_b: Named = field(default_factory=Named)
    columns_only_in_a: list[str] = field(default_factory=list)
    columns_only_in_b: list[str] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)
    other_frames: Named = field(default_factory=Named)
    other_features: Named = field(default_factory=Named)
    other_fields: dict[str, Named] = field(default_factory=dict)
    num_equal: int = 0
    not_restored: int = 0
    num_values: int = 0
    sum_of_squares: float = 0.0
    farthest: Farthest | None = None

    @property
    def is_none(self) -> bool:
        """Whether the splits are equal, within the tolerance."""
        alone = self.only_in_a.count or self.only_in_b.count
        columns = self.columns_only_in_a or self.columns_only_in_b or self.not_compared
        return not (alone or columns or self.other_frames.count or self.other_features.count or self.other_fields)

    @property
    def root_mean_square(self) -> float:
        """The root mean square of the differences between features."""
        return math.sqrt(self.sum_of_squares / self.num_values) if self.num_values else 0.0


def compare_splits(a: FeatureFolder, b: FeatureFolder, *, tolerance: float, most_named: int) -> SplitDifference:
    """Compares two splits of features with as many mel bins.

    Every byte of both is read twice: once for the ids, once for the values. Some megabytes of one shard are held
    at a time, and some 40 bytes for each record.

    Args:
        a: opened for the one.
        b: opened for the other.
        tolerance: absolute, of features and of other floats.
        most_named: ids to name of each kind of difference.

    Raises:
        ValueError: a shard is damaged; the message says where.
        OSError: it cannot be read.
    """
    comparison = _Comparison(a, b, tolerance, most_named)
    comparison.run()
    return comparison.found


class _Comparison:
    def __init__(self, a: FeatureFolder, b: FeatureFolder, tolerance: float, most_named: int) -> None:
        fields_of_a, fields_of_b = a.schema.fields, b.schema.fields
        common = [name for name in fields_of_a if name in fields_of_b and name not in NOT_COMPARED]
        comparable = [name for name in common if fields_of_a[name].kind == fields_of_b[name].kind]
        columns = [TENSOR, *comparable]
        self._a = FolderRecords(a, columns, for_a_model=False)
        self._b = FolderRecords(b, columns, for_a_model=False)
        self._fields = [name for name in comparable if name not in ("id", "num_frames")]
        self._kinds = {name: fields_of_a[name].kind for name in comparable}
        self._tolerance, self._most_named = tolerance, most_named
        known_to_a, known_to_b = a.names, b.names
        self.found = SplitDifference(
            (len(self._a), len(self._b)),
            columns_only_in_a=sorted(known_to_a - known_to_b - set(NOT_COMPARED)),
            columns_only_in_b=sorted(known_to_b - known_to_a - set(NOT_COMPARED)),
            not_compared=sorted(
                {*a.schema.mixed, *b.schema.mixed, *common} & known_to_a & known_to_b - {*comparable}
            ),
        )

    def run(self) -> None:
        """Fills `found`."""
        found, pairs = self.found, pair(hashes_of(self._a), hashes_of(self._b))
        found.repeated = pairs.repeated
        for number, (_, record) in enumerate(self._a):
            partner = int(pairs.partners[number])
            other = None if partner == NO_PARTNER else self._b.read(partner)
            if other is None or other["id"] != record["id"]:
                found.only_in_a.add(record["id"], self._most_named)
                if other is not None:  # two ids of one hash
                    found.only_in_b.add(other["id"], self._most_named)
            else:
                self._compare(record, other)
        for number in pairs.only_in_b.tolist():
            if len(found.only_in_b.ids) < self._most_named:
                found.only_in_b.add(self._b.read(number)["id"], self._most_named)
            else:
                found.only_in_b.count += 1

    def _compare(self, a: Mapping[str, Any], b: Mapping[str, Any]) -> None:
        found, record_id, is_equal = self.found, a["id"], True
        if a["num_frames"] != b["num_frames"]:
            found.other_frames.add(record_id, self._most_named)
            is_equal = False
        elif not self._features_are_equal(record_id, a[TENSOR], b[TENSOR]):
            found.other_features.add(record_id, self._most_named)
            is_equal = False
        for name in self._fields:
            if not self._is_equal(a[name], b[name], DEFAULTS[self._kinds[name]]):
                found.other_fields.setdefault(name, Named()).add(record_id, self._most_named)
                is_equal = False
        found.num_equal += is_equal

    def _features_are_equal(self, record_id: bytes, a: np.ndarray, b: np.ndarray) -> bool:
        """Whether no value is further apart than the tolerance; what lies behind the shorter is told apart."""
        found, rows = self.found, min(len(a), len(b))
        found.not_restored += len(a) != len(b)
        ours, theirs = (np.asarray(features[:rows], np.float64) for features in (a, b))
        differences = _differences(ours, theirs)
        found.num_values += differences.size
        if not differences.size or (farthest := float(differences.max())) == 0:
            return True
        finite = differences[np.isfinite(differences)]
        found.sum_of_squares += float(finite @ finite)
        if found.farthest is None or farthest > found.farthest.difference:
            frame, mel_bin = (int(at) for at in np.unravel_index(int(differences.argmax()), differences.shape))
            values = float(ours[frame, mel_bin]), float(theirs[frame, mel_bin])
            found.farthest = Farthest(farthest, _text(record_id), frame, mel_bin, *values)
        return farthest <= self._tolerance

    def _is_equal(self, a: Any, b: Any, default: Any) -> bool:
        """Whether a field has the same value, or the same values, in both, or both records lack it."""
        ours, theirs = _values(a, default), _values(b, default)
        if len(ours) != len(theirs):
            return False
        if len(ours) and isinstance(ours[0], float):
            return bool((_differences(np.array(ours), np.array(theirs)) <= self._tolerance).all())
        return ours == theirs


def _text(record_id: bytes) -> str:
    return record_id.decode(errors="backslashreplace")


def _values(field: Any, default: Any) -> list[Any]:
    """The values of a field that is one of them, or an array; as bytes, int or float.

    There are none where the record lacks the field: an array is empty then, and a single value the default.
    """
    values = field.tolist() if isinstance(field, np.ndarray) else [getattr(field, "item", lambda: field)()]
    return [] if values == [default] else values


def _differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Absolute differences; 0 between two that are no numbers, infinite between one such and a number."""
    with np.errstate(invalid="ignore"):
        differences = np.abs(a - b)
    is_same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(is_same, 0.0, np.nan_to_num(differences, nan=np.inf, posinf=np.inf))
