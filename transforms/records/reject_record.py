"""One reject record, read by the schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.examples import id_in
from melbeam.transforms.records.rejects import REASONS, size_of_damage
from melbeam.transforms.records.schema import REJECT, REJECT_RECORD
from melbeam.transforms.records.tf_example import one_value

# Whose bytes are not the record's own, or not all of them: an id in them need not be the record's.
_DAMAGES = ("bad_checksum", "bad_framing", "over_limit")


@dataclass(frozen=True)
class RejectedRecord:
    """A reject record whose fields agree with the schema and with the record in it.

    Attributes:
        name: the record's id, or where it lies if it has none.
        reason: one of `REASONS`.
        source: input file and record number.
        damaged_bytes: of the input file that belong to no record, and that this reject stands for.
    """

    name: str
    reason: str
    source: str
    damaged_bytes: int


def read_reject(record: bytes, record_version: int) -> RejectedRecord:
    """Reads a reject record.

    Raises:
        ValueError: it is none; the message says why.
    """
    try:
        features = Example.FromString(record).features.feature
        fields = _fields(features, record_version)
    except (DecodeError, ValueError) as error:
        raise ValueError(f"it is no reject record: {error}") from error
    reason = fields["reason"]
    if fields[REJECT] != 1:
        raise ValueError(f"it is no reject record: {REJECT} is {fields[REJECT]}")
    if reason not in REASONS:
        raise ValueError(f"unknown reason {reason!r}")
    given, held = fields.get("id"), id_in(fields["record"])
    is_its_own = reason not in _DAMAGES
    if held != given and held is not None and (given is not None or (is_its_own and record_version >= 2)):
        raise ValueError(f"its id is {given!r}, that of the record in it {held!r}")
    return RejectedRecord(
        name=given or fields["source"],
        reason=reason,
        source=fields["source"],
        damaged_bytes=size_of_damage(fields["detail"]) if reason == "bad_framing" else 0,
    )


def _fields(features: Any, record_version: int) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for known in REJECT_RECORD:
        if known.since > record_version or (known.when and known.name not in features):
            continue
        fields[known.name] = one_value(features, known, raw=known.name == "record")
    return fields
