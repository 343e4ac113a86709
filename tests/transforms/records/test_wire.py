"""Examples written without protobuf's writer are, to the byte, those that it writes."""

from itertools import pairwise

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from melbeam.transforms.records.example_proto import Example, Feature
from melbeam.transforms.records.tf_example import to_example, to_example_parts
from melbeam.transforms.records.wire import feature_names

INT64 = st.integers(-(2**63), 2**63 - 1)
# Sizes on both sides of what takes one more byte to write, at each level of nesting.
SIZES = st.sampled_from([0, 1, 100, 110, 116, 120, 127, 128, 4095, 4096, 16370, 16383, 16384, 70000])
VALUES = st.one_of(
    SIZES.map(bytes),
    SIZES.map(lambda size: memoryview(bytes(size))),
    st.text(max_size=5),
    INT64,
    st.floats(allow_nan=False),
    st.lists(INT64, max_size=3),
    st.lists(st.floats(allow_nan=False), max_size=3),
    st.lists(st.text(max_size=3), max_size=3),
    st.lists(st.floats(allow_nan=False), min_size=1, max_size=9).map(np.array),
    st.lists(st.integers(-128, 127), max_size=3).map(lambda values: np.array(values, np.int8)),
)
NAMES = st.text(max_size=200)


def by_protobuf(features, messages):
    example = Example()
    target = example.features.feature
    for name, value in features.items():
        values = value.tolist() if isinstance(value, np.ndarray) else value
        values = values if isinstance(values, list) else [values]
        values = [
            bytes(v) if isinstance(v, memoryview) else v.encode() if isinstance(v, str) else v for v in values
        ]
        kind = {bytes: "bytes_list", int: "int64_list", float: "float_list"}[type(values[0]) if values else float]
        getattr(target[name], kind).value.extend(values)
    for name, message in messages.items():
        target[name].CopyFrom(message)
    return example.SerializeToString(deterministic=True)


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.dictionaries(NAMES, st.lists(INT64), max_size=3))
def test_the_bytes_are_protobufs(features, passed_through):
    messages = {}
    for name, values in passed_through.items():
        messages[name] = Feature()
        messages[name].int64_list.value.extend(values)
    features = {name: value for name, value in features.items() if name not in messages}
    written = to_example(features, messages)
    expected = by_protobuf(features, messages)
    assert Example.FromString(written) == Example.FromString(expected)
    names = sorted([*features, *messages])
    if not any(
        longer.startswith(name) for name, longer in pairwise(names)
    ):  # whose order is protobuf's own affair
        assert written == expected
    if features or messages:
        assert [name.decode() for name in feature_names(written)] == names


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_an_integer_beyond_64_bits_is_refused(value):
    with pytest.raises(ValueError, match="no int64"):
        to_example({"a": value})


def test_a_large_value_is_not_copied():
    value = np.zeros(100_000, np.uint8)
    parts = to_example_parts({"features": value.data, "id": "x", "a": 1})
    value[:] = 7
    assert b"".join(parts).count(7) >= 100_000
    assert len(parts) == 3


@given(st.binary(max_size=60))
def test_names_of_what_is_no_example_are_those_that_a_parser_finds_or_none(data):
    names = feature_names(data)
    if names:
        try:
            found = Example.FromString(data).features.feature
        except DecodeError:  # then the names are no one's
            return
        assert set(names) >= {name.encode() for name in found}
