"""One feature record parsed in a TensorFlow graph; the same values as `arrays` gives without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.reading.arrays import (
    DEFAULTS,
    LACKS_TAIL,
    OF_ANOTHER_FRONT_END,
    OF_OTHER_ROWS,
    TOO_LONG,
    full_length,
)
from melbeam.transforms.reading.folder import FeatureFolder
from melbeam.transforms.records.schema import BYTES, FLOAT, INT64, TAIL, TENSOR
from melbeam.transforms.records.split_schema import StoredField

Features = dict[str, tf.Tensor]
_DTYPES = {BYTES: tf.string, INT64: tf.int64, FLOAT: tf.float32}


def record_parser(folder: FeatureFolder, wanted: Sequence[str] | None) -> Callable[[tf.Tensor], Features]:
    """How one record is parsed: the wanted columns, and those that padding needs.

    Raises:
        ValueError: there is no such column, or one has values of several types.
    """
    front_end = folder.front_end
    tensor_wanted = wanted is None or TENSOR in wanted
    names = None if wanted is None else [name for name in wanted if name != TENSOR]
    columns = dict(folder.columns(names).fields)
    columns.pop(TAIL, None)
    checked_by = [name for name in ("id", "front_end") if tensor_wanted and name in folder.schema.fields]
    only_checked = [name for name in checked_by if name not in columns]
    if tensor_wanted:
        columns |= {name: folder.schema.fields[name] for name in ("num_frames", *checked_by)}
    specification = {name: _parsing(stored) for name, stored in columns.items()}
    has_tail = tensor_wanted and TAIL in folder.schema.fields
    if tensor_wanted and folder.encoding == "none":
        specification[TENSOR] = tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True)
    elif tensor_wanted:
        specification[TENSOR] = tf.io.FixedLenFeature([], tf.string)
    if has_tail:
        specification[TAIL] = tf.io.FixedLenFeature([], tf.string, default_value=b"")
    dtype = tf.as_dtype(folder.dtype)

    def rows(stored: tf.Tensor) -> tf.Tensor:
        if stored.dtype == tf.string:
            stored = tf.io.decode_raw(stored, dtype)
        return tf.reshape(stored, [-1, front_end.num_mels])

    def parse(record: tf.Tensor) -> Features:
        example = tf.io.parse_single_example(record, specification)
        if not tensor_wanted:
            return example
        stored = example[TENSOR]
        if folder.encoding == "zlib":
            stored = tf.io.decode_compressed(stored, "ZLIB")
        features = rows(stored)
        with tf.control_dependencies(_checks(example, tf.shape(features)[0], front_end)):
            features = tf.identity(features)
        for name in only_checked:
            del example[name]
        tail = rows(example.pop(TAIL)) if has_tail else features[:0]
        if front_end.takes_full_length:
            features = _full_length(features, tail, front_end.padded_frames, folder.path)
        return {**example, TENSOR: features}

    return parse


def _checks(example: Features, num_rows: tf.Tensor, front_end: FrontEnd) -> list[tf.Operation]:
    """Assertions that a record's features are those of the folder's front end, and as many rows as it says."""
    about = ["; id", example["id"]] if "id" in example else []
    frames = tf.cast(example["num_frames"], tf.int32)
    is_whole = (num_rows == frames) | (num_rows == full_length(front_end))
    if front_end.takes_full_length:
        is_whole |= num_rows > full_length(front_end)  # which TOO_LONG tells
    checks = [tf.debugging.Assert(is_whole, [OF_OTHER_ROWS, num_rows, frames, *about])]
    if "front_end" in example:
        said, expected = example["front_end"], front_end.short_fingerprint
        checks.append(tf.debugging.Assert(said == expected, [OF_ANOTHER_FRONT_END, said, expected, *about]))
    return checks


def _full_length(features: tf.Tensor, tail: tf.Tensor, length: int, path: str) -> tf.Tensor:
    """All rows of a clip: those stored, the tail behind them, and its last row up to the full length."""
    missing = length - tf.shape(features)[0]
    lacking = (missing > 0) & (tf.shape(tail)[0] == 0)
    checks = [
        tf.debugging.assert_equal(lacking, False, f"{path} {LACKS_TAIL}"),
        tf.debugging.assert_greater_equal(missing, tf.shape(tail)[0], f"{path} {TOO_LONG}"),
    ]
    with tf.control_dependencies([check for check in checks if check is not None]):
        behind = tf.repeat(tail[-1:], missing - tf.shape(tail)[0], axis=0)
    full = tf.concat([features, tail, behind], axis=0)
    return tf.ensure_shape(full, [length, features.shape[1]])


def _parsing(stored: StoredField) -> Any:
    """How `tf.io.parse_single_example` reads one field."""
    dtype = _DTYPES[stored.kind]
    if stored.is_list:
        return tf.io.FixedLenSequenceFeature([], dtype, allow_missing=True)
    return tf.io.FixedLenFeature([], dtype, default_value=DEFAULTS[stored.kind] if stored.optional else None)
