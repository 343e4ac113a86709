"""Every written record keeps to the schema, and a split's schema is what its records hold."""

import json
from itertools import permutations

import msgspec
import numpy as np
import pytest

from helpers import encode
from melbeam.transforms import FrontEnd
from melbeam.transforms.records.conversion import convert
from melbeam.transforms.records.converter import RecordConverter
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.examples import to_reject
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.schema import (
    AUDIO_RECORD,
    BYTES,
    CONSUMED,
    FEATURE_RECORD,
    FLOAT,
    INT64,
    REJECT_RECORD,
    RESERVED,
)
from melbeam.transforms.records.split_schema import CONDITIONAL, FieldCounts, SplitSchema, StoredField
from melbeam.transforms.records.tf_example import kind_and_count, to_example

NOISE = (0.1 * np.random.default_rng(3).standard_normal(16000 * 2)).astype("float32")
SHORT = FrontEnd.load("gemma4").replace(name="short", max_audio_length=0.5)
SHORT_WHISPER = FrontEnd.load("whisper").replace(name="short", max_audio_length=0.5)


def clip(seconds, **others):
    return to_example({"audio": encode(NOISE[: int(seconds * 16000)]), **others})


def fields(record):
    return Example.FromString(record).features.feature


def written():
    """Feature records of every kind that there is, with the conversions that they came from."""
    for front_end, options, record in (
        (SHORT, {}, clip(0.3, id="plain", text="hello")),
        (SHORT, {"on_long": "truncate"}, clip(1.2, id="cut")),
        (SHORT, {"on_long": "chunk"}, clip(1.2, id="long", text="hello", speaker=[1, 2])),
        (SHORT, {"encoding": "float_list"}, clip(0.3)),
        (SHORT, {"dtype": "bfloat16", "pad_to_max_length": True}, clip(0.3)),
        (SHORT_WHISPER, {"pad_to_max_length": True}, clip(0.3)),
        (SHORT_WHISPER, {"pad_to_max_length": False}, clip(0.3)),
        (SHORT_WHISPER, {"pad_to_max_length": False, "dtype": "float16"}, clip(0.5)),
    ):
        conversion = convert(RecordConverter(front_end, RecordOptions(**options)), record, "here#0")
        for feature_record in conversion.features:
            yield front_end, options, feature_record


def test_every_feature_record_keeps_to_the_schema():
    known = {field.name: field for field in FEATURE_RECORD}
    always = {name for name, field in known.items() if not field.when}
    seen = set()
    for _, options, record in written():
        found = fields(record.example)
        seen |= set(found)
        assert always <= set(found)
        for name, feature in found.items():
            kind, count = kind_and_count(feature)
            if name == "input_features" and options.get("encoding") == "float_list":
                assert kind == FLOAT
            elif name in known:
                assert (kind, count) == (known[name].kind, 1)
            else:
                assert name in ("text", "speaker")
    assert seen == {*known, "text", "speaker"}  # so none of the schema's fields is never written


def test_what_is_counted_of_a_record_is_what_not_every_record_has():
    for _, _, record in written():
        found = fields(record.example)
        counted = {
            name: kind_and_count(found[name]) for name in found if name in (*CONDITIONAL, "text", "speaker")
        }
        assert {name: (record.kinds[name], record.lengths[name]) for name in record.kinds} == counted


def test_a_reject_keeps_to_the_schema():
    known = {field.name: field.kind for field in REJECT_RECORD}
    for reject, has_id in ((Reject("bad_audio", "why", "clip"), True), (Reject("bad_audio", "why"), False)):
        found = fields(to_reject(b"what was read", reject, "here#0"))
        assert {name: kind_and_count(feature) for name, feature in found.items()} == {
            name: (kind, 1) for name, kind in known.items() if name != "id" or has_id
        }


def test_what_is_consumed_and_what_is_reserved():
    assert CONSUMED == ("audio", "id", "sampling_rate")
    names = {field.name for field in (*AUDIO_RECORD, *FEATURE_RECORD)} | {"melbeam_reject"}
    assert set(CONSUMED) | set(RESERVED) == names
    assert not set(CONSUMED) & set(RESERVED)


@pytest.mark.parametrize("name", RESERVED)
def test_a_record_may_not_have_a_reserved_name(name):
    record = clip(0.3, **{name: 1})
    if name == "melbeam_reject":
        return  # then it is a reject, and is read as one
    with pytest.raises(Reject, match=rf"bad_field: features \['{name}'\] have names that melbeam writes itself"):
        convert(RecordConverter(SHORT, RecordOptions()), record, "")


def test_an_empty_list_is_passed_over():
    """Readers of scalars fail at a list of no values, and take an absent one for the default."""
    example = Example.FromString(clip(0.3, text="hello"))
    example.features.feature["tags"].bytes_list.SetInParent()
    example.features.feature["nothing"].SetInParent()
    (record,) = convert(RecordConverter(SHORT, RecordOptions()), example.SerializeToString(), "").features
    assert set(fields(record.example)) & {"text", "tags", "nothing"} == {"text"}


# --------------------------------------------------------------------------------- the schema of a split


def counted(**kinds):
    """FieldCounts of name=(kind, records, most)."""
    return {name: FieldCounts({kind: records}, most) for name, (kind, records, most) in kinds.items()}


def schema(num_records=4, front_end="gemma4", version=2, **kinds):
    return SplitSchema.of_counts(FrontEnd.load(front_end), version, num_records, counted(**kinds))


def test_a_field_is_a_scalar_unless_a_record_has_several_values():
    found = schema(text=(BYTES, 4, 1), speaker=(INT64, 3, 1), weights=(FLOAT, 4, 2)).fields
    assert found["text"] == StoredField(BYTES)
    assert found["speaker"] == StoredField(INT64, optional=True)
    assert found["weights"] == StoredField(FLOAT, is_list=True)


@pytest.mark.parametrize(
    ("front_end", "has_tokens"),
    [("gemma4", True), ("gemma3n", True), ("gemma4_documented", True), ("whisper", False)],
)
def test_tokens_are_there_where_the_model_has_them(front_end, has_tokens):
    stored = schema(front_end=front_end).fields
    assert ("num_audio_tokens" in stored) == has_tokens
    record = convert(RecordConverter(FrontEnd.load(front_end), RecordOptions()), clip(0.3), "").features[0]
    assert ("num_audio_tokens" in fields(record.example)) == has_tokens


def test_what_an_older_version_did_not_write_is_not_in_its_schema():
    assert set(schema(version=2).fields) - set(schema(version=1).fields) == {
        *("rms_dbfs", "peak_dbfs", "full_scale_fraction", "silent_fraction")
    }


def test_the_union_makes_optional_what_a_split_lacks():
    one, other = schema(text=(BYTES, 4, 1)), schema(chunk_index=(INT64, 4, 1), text=(BYTES, 4, 3))
    for order in permutations([one, other, schema(version=1, text=(BYTES, 4, 1))]):
        union = SplitSchema.union(order)
        assert union.fields["text"] == StoredField(BYTES, is_list=True)
        assert union.fields["chunk_index"] == StoredField(INT64, optional=True)
        assert union.fields["rms_dbfs"] == StoredField(FLOAT, optional=True)
        assert union.fields["id"] == StoredField(BYTES)
        assert not union.mixed


def test_mixed_types_are_named_with_their_records():
    counts = FieldCounts()
    for record in range(9):
        counts.add_record(INT64 if record == 3 else BYTES, 1, f"r{record}")
    within = SplitSchema.of_counts(FrontEnd.load("gemma4"), 2, 9, {"text": counts})
    assert "text" not in within.fields
    assert within.mixed["text"].kinds == {BYTES: 8, INT64: 1}
    assert within.mixed["text"].ids == {BYTES: ["r0", "r1", "r2", "r4", "r5"], INT64: ["r3"]}
    across = SplitSchema.union([schema(text=(BYTES, 4, 1)), schema(text=(INT64, 4, 1))])
    assert set(across.mixed) == {"text"}
    assert set(across.mixed["text"].kinds) == {BYTES, INT64}
    assert set(SplitSchema.union([within, schema(text=(BYTES, 4, 1))]).mixed) == {"text"}


def test_schemas_come_back_from_json_and_from_tfds():
    found = schema(text=(BYTES, 3, 1), ids=(INT64, 4, 7), name=(BYTES, 4, 1), tags=(BYTES, 2, 2), x=(FLOAT, 1, 1))
    again = msgspec.json.decode(json.dumps(msgspec.to_builtins(found)).encode(), type=SplitSchema)
    assert again == found
    from_tfds = SplitSchema.from_tfds(found.to_tfds(FrontEnd.load("gemma4"), RecordOptions()))
    lists = {name: StoredField(stored.kind, True, True) for name, stored in found.fields.items() if stored.is_list}
    assert from_tfds.fields == found.fields | lists  # a list may be empty, and is then as absent
