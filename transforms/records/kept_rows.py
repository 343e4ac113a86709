"""Rows in place of audio: how the reject of a row that a source could not read is kept, to be read again.

A manifest's row names its audio and does not hold it. Where the audio is not there, or the row itself cannot be
read, the reject's `record` is a tf.train.Example with the row's columns and one more feature, which says as JSON
how its source reads it: `melbeam retry-rejects` does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError

from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.examples import ROW, rejected_record
from melbeam.transforms.records.schema import REJECT
from melbeam.transforms.records.tf_example import to_example
from melbeam.transforms.records.wire import Values, feature_names

_ROW, _REJECT = ROW.encode(), REJECT.encode()


def keep_row(row: Mapping[str, Any], columns: Mapping[str, Values], features: Mapping[str, Any]) -> bytes:
    """A row as the record of a reject.

    Args:
        row: how its source reads it again, as JSON; among others its `kind`.
        columns: name to value of what is passed through with the audio.
        features: name to `Feature` message of more of that.
    """
    return to_example({**columns, ROW: json.dumps(row)}, features)


def may_keep_row(record: bytes) -> bool:
    """Whether a record may stand for a row; it is not searched where the names of its features say no."""
    names = feature_names(record)
    if names is not None and _ROW not in names and _REJECT not in names:
        return False
    return _ROW in record


def kept_row(record: bytes) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The row that a record stands for, and its columns as `Feature` messages; None for a record that is none.

    Args:
        record: serialized; a row, or the reject of one.
    """
    if not may_keep_row(record):
        return None
    try:
        features = Example.FromString(rejected_record(record) or record).features.feature
        row = json.loads(features[ROW].bytes_list.value[0]) if ROW in features else None
    except (DecodeError, ValueError, IndexError):
        return None
    if not isinstance(row, dict) or not isinstance(row.get("kind"), str):
        return None
    return row, {name: feature for name, feature in features.items() if name != ROW}
