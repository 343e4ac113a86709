"""Why a record was turned away: the closed list of reject reasons and the error that carries one."""

from __future__ import annotations

import re
from typing import Any

REASONS: tuple[str, ...] = (
    "not_an_example",  # the bytes are no tf.train.Example
    "no_audio",  # the Example has no audio feature, or an empty one
    "bad_audio",  # the audio cannot be decoded
    "empty_audio",  # the audio decodes to no samples
    "too_short",  # the audio gives no frame
    "too_long",  # longer than the front end takes, and on_long is "reject"
    "not_finite",  # the samples hold NaN or infinity
    "rate_mismatch",  # the bytes and the record name different sampling rates
    "bad_checksum",  # the TFRecord's data checksum does not hold
    "bad_framing",  # bytes between TFRecords that belong to none
    "bad_field",  # a feature has the wrong type or more values than one
    "over_limit",  # larger or longer than a limit that an option sets
    "converter_error",  # the converter itself failed on this audio
)

_PLACE_OF_DAMAGE = re.compile(r" \((\d+) bytes at offset \d+\)")


class Reject(Exception):
    """A record that cannot be converted.

    Attributes:
        reason: one of `REASONS`; stable, for counting.
        detail: one sentence for a person: the value that was wrong and the bound it broke.
        record_id: the id that the record gives itself, or None.
    """

    def __init__(self, reason: str, detail: str, record_id: str | None = None) -> None:
        if reason not in REASONS:
            raise ValueError(f"unknown reject reason {reason!r}; the reasons are {', '.join(REASONS)}")
        super().__init__(reason, detail, record_id)
        self.reason = reason
        self.detail = detail
        self.record_id = record_id

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"

    def __reduce__(self) -> tuple[Any, ...]:
        return Reject, (self.reason, self.detail, self.record_id)


def with_place(detail: str, size: int, offset: int) -> str:
    """The detail of a damage, with the bytes of the file that it covers."""
    return f"{detail} ({size} bytes at offset {offset})"


def size_of_damage(detail: str) -> int:
    """The bytes that `with_place` put into a detail; 0 where it put none there."""
    places = _PLACE_OF_DAMAGE.findall(detail)
    return int(places[-1]) if places else 0
