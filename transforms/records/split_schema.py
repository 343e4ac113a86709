"""The schema of what a split's records hold: of counts, of several splits, and as TFDS writes it.

A reader gets a scalar wherever no record has more than one value. Where a record lacks a field, every reader gets
TFDS's default for it: b"", the smallest int64 or the smallest float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.schema import BYTES, FEATURE_RECORD, FLOAT, INT64, TENSOR

NAMED_IDS = 5  # of records, wherever a report names some
_TFDS = "tensorflow_datasets.core.features"
_DTYPES = {BYTES: "string", INT64: "int64", FLOAT: "float32"}
# Which fields a record has is counted, but for those that all have.
CONDITIONAL = tuple(f.name for f in FEATURE_RECORD if f.when and f.name != "num_audio_tokens")


@dataclass
class FieldCounts:
    """How a field that not every record has is held by the records of a split.

    Attributes:
        kinds: the lists that hold it, and the records of each.
        most: values of one record at most.
        ids: of the first records of each kind, for messages.
    """

    kinds: dict[str, int] = field(default_factory=dict)
    most: int = 0
    ids: dict[str, list[str]] = field(default_factory=dict)

    @property
    def num_records(self) -> int:
        """How many records have it."""
        return sum(self.kinds.values())

    def add_record(self, kind: str, num_values: int, record_id: str) -> None:
        """Counts a record."""
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        self.most = max(self.most, num_values)
        named = self.ids.setdefault(kind, [])
        if len(named) < NAMED_IDS:
            named.append(record_id)

    def add(self, other: FieldCounts) -> None:
        """Adds another's records to these."""
        for kind, count in other.kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + count
        self.most = max(self.most, other.most)
        for kind, ids in other.ids.items():
            self.ids[kind] = sorted({*self.ids.get(kind, []), *ids})[:NAMED_IDS]


@dataclass(frozen=True)
class StoredField:
    """A field as a reader parses it.

    Attributes:
        kind: the list that holds it.
        is_list: whether some record has more values than one.
        optional: whether some record lacks it.
    """

    kind: str
    is_list: bool = False
    optional: bool = False


@dataclass
class SplitSchema:
    """What the records of a split, or of several, hold.

    Attributes:
        fields: by name, all but `input_features`.
        mixed: fields that are not of one type in all records, which no reader can parse.
    """

    fields: dict[str, StoredField] = field(default_factory=dict)
    mixed: dict[str, FieldCounts] = field(default_factory=dict)

    @classmethod
    def of_counts(
        cls, front_end: FrontEnd, record_version: int, num_records: int, counts: Mapping[str, FieldCounts]
    ) -> SplitSchema:
        """The schema of `num_records` feature records, of which some fields were counted.

        Args:
            front_end: of the features, which says whether there are audio tokens.
            record_version: `RECORD_VERSION` as the records were written with.
            num_records: in all.
            counts: of the fields that not every record has.
        """
        schema = cls()
        has_tokens = front_end.num_audio_tokens(0) is not None
        for known in FEATURE_RECORD:
            if known.name == TENSOR or known.name in CONDITIONAL or known.since > record_version:
                continue
            if known.name != "num_audio_tokens" or has_tokens:
                schema.fields[known.name] = StoredField(known.kind)
        for name, counted in sorted(counts.items()):
            if len(counted.kinds) > 1:
                schema.mixed[name] = counted
            elif counted.kinds:
                ((kind, records),) = counted.kinds.items()
                schema.fields[name] = StoredField(kind, counted.most > 1, records < num_records)
        return schema

    @classmethod
    def union(cls, schemas: Iterable[SplitSchema]) -> SplitSchema:
        """The schema for a reader of all these splits: a field that one of them lacks is optional."""
        schemas = list(schemas)
        union = cls()
        for name in sorted({name for schema in schemas for name in (*schema.fields, *schema.mixed)}):
            found = [schema.fields[name] for schema in schemas if name in schema.fields]
            mixed = [schema.mixed[name] for schema in schemas if name in schema.mixed]
            if mixed or len({stored.kind for stored in found}) > 1:
                union.mixed[name] = FieldCounts(kinds={stored.kind: 0 for stored in found})
                for counts in mixed:
                    union.mixed[name].add(counts)
            else:
                is_list = any(stored.is_list for stored in found)
                optional = len(found) < len(schemas) or any(stored.optional for stored in found)
                union.fields[name] = StoredField(found[0].kind, is_list, optional)
        return union

    def to_tfds(self, front_end: FrontEnd, options: RecordOptions) -> dict[str, Any]:
        """`features.json` of a folder, with the tensor of the features."""
        features = {name: _to_tfds(stored) for name, stored in self.fields.items()}
        features[TENSOR] = {
            "pythonClassName": f"{_TFDS}.tensor_feature.Tensor",
            "tensor": {
                "shape": {"dimensions": ["-1", str(front_end.num_mels)]},
                "dtype": options.dtype,
                "encoding": "bytes" if options.encoding == "bytes" else "none",
            },
        }
        return {
            "pythonClassName": f"{_TFDS}.features_dict.FeaturesDict",
            "featuresDict": {"features": features},
        }

    @classmethod
    def from_tfds(cls, features_json: Mapping[str, Any]) -> SplitSchema:
        """The inverse of `to_tfds`, without the tensor and the fields of mixed types."""
        features = features_json["featuresDict"]["features"]
        return cls({name: _from_tfds(feature) for name, feature in features.items() if name != TENSOR})


def dtype_and_encoding(features_json: Mapping[str, Any]) -> tuple[str, str]:
    """How a folder's `features.json` says that the tensor of the features is stored.

    The encoding is "bytes" or "zlib", or "none" for a float list.
    """
    tensor = features_json["featuresDict"]["features"][TENSOR]["tensor"]
    return tensor["dtype"], tensor["encoding"]


def _to_tfds(stored: StoredField) -> dict[str, Any]:
    scalar: dict[str, Any]
    if stored.kind == BYTES and (stored.is_list or not stored.optional):
        scalar = {"pythonClassName": f"{_TFDS}.text_feature.Text", "text": {}}
    else:
        # "optional" on Text breaks the reading of the whole folder.
        scalar = {
            "pythonClassName": f"{_TFDS}.scalar.Scalar",
            "tensor": {"shape": {}, "dtype": _DTYPES[stored.kind], "encoding": "none"},
        }
    if stored.is_list:  # which a record may lack: it is empty then
        return {
            "pythonClassName": f"{_TFDS}.sequence_feature.Sequence",
            "sequence": {"feature": scalar, "length": "-1"},
        }
    if stored.optional:
        scalar["tensor"]["optional"] = True
    return scalar


def _from_tfds(feature: Mapping[str, Any]) -> StoredField:
    if "sequence" in feature:
        return StoredField(_from_tfds(feature["sequence"]["feature"]).kind, is_list=True, optional=True)
    if "text" in feature:
        return StoredField(BYTES)
    tensor = feature["tensor"]
    kinds = {dtype: kind for kind, dtype in _DTYPES.items()}
    return StoredField(kinds[tensor["dtype"]], optional=bool(tensor.get("optional")))
