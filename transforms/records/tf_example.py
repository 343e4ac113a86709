"""A tf.train.Example, whatever record it is: written, parsed, and its values by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError

from melbeam.transforms.records.example_proto import Example, Feature
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.schema import BYTES, MAX_EXAMPLE_BYTES, Field
from melbeam.transforms.records.wire import Values, example_parts


def to_example(
    features: Mapping[str, Values],
    passthrough: Mapping[str, Any] | None = None,
    bulk: tuple[str, memoryview] | None = None,
) -> bytes:
    """Serializes features, in a fixed order of names, so that equal features are equal bytes.

    Args:
        features: name to bytes, a string, an int, a float, or a list or an array of one of them.
        passthrough: name to `Feature` message, copied unchanged.
        bulk: name and bytes of one more feature, a large one, which is copied once.

    Raises:
        Reject: over_limit, an Example of 2 GiB or more, which nothing could parse.
    """
    return b"".join(to_example_parts(features if bulk is None else {**features, bulk[0]: bulk[1]}, passthrough))


def to_example_parts(
    features: Mapping[str, Values], passthrough: Mapping[str, Any] | None = None
) -> tuple[bytes | memoryview, ...]:
    """What `to_example` gives, in pieces, of which large values are none but themselves: they are not copied.

    Raises:
        Reject: over_limit.
    """
    parts, num_bytes = example_parts(features, passthrough or {})
    if num_bytes > MAX_EXAMPLE_BYTES:
        raise Reject(
            "over_limit",
            f"a record of {num_bytes} bytes would be written, and no reader of tf.train.Example takes more than "
            f"{MAX_EXAMPLE_BYTES}: split the clip, or pass --on_long=chunk",
        )
    return tuple(parts)


def parse_features(record: bytes) -> Any:
    """Name to `Feature` message of a serialized Example.

    Raises:
        Reject: not_an_example.
    """
    try:
        return Example.FromString(record).features.feature
    except DecodeError as error:
        raise Reject("not_an_example", f"{len(record)} bytes that are no tf.train.Example") from error


def names_in(record: bytes) -> set[str]:
    """The names of a record's features; none where it cannot be parsed."""
    try:
        return set(parse_features(record))
    except Reject:
        return set()


def kind_and_count(feature: Any) -> tuple[str, int]:
    """The list that holds a `Feature`'s values, and their number; ("", 0) where it holds none."""
    kind = feature.WhichOneof("kind")
    return (kind, len(getattr(feature, kind).value)) if kind else ("", 0)


def single_value(features: Any, name: str, kind: str) -> Any:
    """The one value of an optional feature, or None.

    Raises:
        Reject: bad_field, it has several, or of another kind.
    """
    if name not in features:
        return None
    found, count = kind_and_count(features[name])
    if not count:
        return None
    if found != kind or count != 1:
        raise Reject("bad_field", f"{name} must be one value in a {kind}, got {count} in a {found}")
    return getattr(features[name], found).value[0]


def one_value(features: Any, known: Field, *, raw: bool) -> Any:
    """The one value that a record must have of a field of its schema; bytes as text unless they are wanted raw.

    Raises:
        ValueError: it is missing, or of another type, or has more values than one.
    """
    kind, count = kind_and_count(features[known.name]) if known.name in features else ("", 0)
    if (kind, count) != (known.kind, 1):
        raise ValueError(f"{known.name} must be one value in a {known.kind}, got {count} in {kind or 'no list'}")
    value = getattr(features[known.name], kind).value[0]
    return value.decode() if kind == BYTES and not raw else value


def text_feature(text: str) -> Any:
    """A `Feature` message of one text."""
    feature = Feature()
    feature.bytes_list.value.append(text.encode())
    return feature
