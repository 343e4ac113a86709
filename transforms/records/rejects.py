"""Why a record was turned away: the closed list of reasons, and the error that carries one."""

from __future__ import annotations

import re
from typing import Any, NamedTuple


class Reason(NamedTuple):
    """A reason to turn a record away, in words.

    Attributes:
        meaning: what is wrong with the record.
        advice: what to do about it.
    """

    meaning: str
    advice: str


REASONS: dict[str, Reason] = {
    "not_an_example": Reason(
        "the bytes are no `tf.train.Example`", "check that `--input` names audio TFRecords only"
    ),
    "no_audio": Reason(
        "no feature `audio`, or an empty one", "name the feature that holds it: `--columns=audio=YOURS`"
    ),
    "bad_audio": Reason(
        "the audio cannot be decoded, is cut or damaged, or does not decode to what its file holds",
        "fetch or encode the clip again; install the extra that `detail` names; for raw samples pass "
        "`--audio_format=pcm_s16le`, for files leave it out",
    ),
    "empty_audio": Reason("it decodes to no samples", "leave the clip out"),
    "too_short": Reason("it gives no frame (`gemma4`: 160 samples or fewer)", "leave the clip out"),
    "too_long": Reason("longer than the front end takes", "`--on_long=truncate` or `--on_long=chunk`"),
    "not_finite": Reason("NaN or infinity among the samples", "mend what wrote the samples"),
    "out_of_range": Reason(
        "a peak that no recording has: samples of another scale than [-1, 1)",
        "divide the samples by their full scale, 32768 for 16 bits, or store them as integers",
    ),
    "rate_mismatch": Reason(
        "the audio and the record, or the record and `--pcm_sampling_rate`, name different rates",
        "correct or remove `sampling_rate`; correct the option",
    ),
    "bad_checksum": Reason("the TFRecord's data checksum does not hold", "copy the file again from its source"),
    "bad_framing": Reason(
        "bytes between TFRecords that belong to none; counted once a gap, with their size",
        "copy the file again from its source",
    ),
    "bad_field": Reason(
        "a feature of the wrong type or number of values, a missing rate of raw samples, or a name that melbeam "
        "writes itself",
        "`detail` names it: mend or rename it",
    ),
    "over_limit": Reason(
        "above `--max_record_bytes`, `--max_audio_seconds`, the 2 GiB that protobuf takes, or what memory holds",
        "raise the option, if the clip is meant to be that long; else split the clip",
    ),
    "converter_error": Reason(
        "the converter itself failed, or this record killed or hung it",
        "please report it, with `detail`; after a time-out, `--max_convert_seconds` may be too low",
    ),
    "no_text": Reason(
        "no transcript, or an empty one, and `--require=text`",
        "add it, or leave the clip out; where it stands under another name, `--columns=text=THEIRS` takes it",
    ),
    "no_channel": Reason(
        "the clip does not have the channel that `--channel` names",
        "`--channel=mean`, or a channel that every clip has; or give such clips a job of their own",
    ),
    "not_found": Reason(
        "a manifest names audio that is not there", "correct the path, or put the file there; then `retry-rejects`"
    ),
    "bad_row": Reason("a row of a manifest or table that cannot be read", "`detail` names it: mend the row"),
}

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
