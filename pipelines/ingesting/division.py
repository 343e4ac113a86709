"""Which split a clip belongs to, and its place there: stable hashes decide, whatever other clips there are."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any

from melbeam.pipelines.command_line import check_split
from melbeam.pipelines.defaults import SPLITS_EXAMPLE
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources.planning import read_unit
from melbeam.pipelines.sources.units import AudioRecord, Unit
from melbeam.transforms.records.examples import audio_features
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.schema import BYTES, FLOAT
from melbeam.transforms.records.tf_example import kind_and_count

ID = "id"
_HASH_BITS = 64
# What each hash is of, so that a clip's place in the order says nothing of its split.
_OF_SPLIT, _OF_ORDER = b"melbeam split", b"melbeam order"
# Thirds have no decimal fraction.
_SUM_TOLERANCE = Fraction(1, 1_000_000)
_MAX_SPLITS = 255  # what a byte numbers
_LOOKED_AT = 20  # records, for a column that all of them should have


@dataclass(frozen=True)
class Division:
    """How clips are divided into splits, and in which order they are written.

    Attributes:
        splits: the name of each, and its share of what is hashed, in the order in which they were given.
        split_by: the column whose value is hashed; `id` is the clip's, also where it is the hash of its audio.
        seed: of the random order; None keeps the order of the input.
    """

    splits: tuple[tuple[str, Fraction], ...]
    split_by: str = ID
    seed: int | None = None

    @property
    def names(self) -> list[str]:
        """The names of the splits."""
        return [name for name, _ in self.splits]

    def to_json(self) -> dict[str, Any]:
        """As job.json keeps it."""
        splits = {name: str(fraction) for name, fraction in self.splits}
        return {"order": self.names, "splits": splits, "split_by": self.split_by, "shuffle_seed": self.seed}

    def split_of(self, value: str) -> int:
        """The number of the split that a value of `split_by` belongs to."""
        place = Fraction(hash_of(value, _OF_SPLIT), 1 << _HASH_BITS)
        end = Fraction(0)
        for number, (_, fraction) in enumerate(self.splits):
            end += fraction
            if place < end:
                return number
        return len(self.splits) - 1  # where the fractions sum to a little less than 1

    def value_of(self, features: Mapping[str, Any], clip_id: str) -> str:
        """What a record is divided by.

        Args:
            features: of the record, name to `Feature`.
            clip_id: of its clip.

        Raises:
            Reject: bad_field, the record does not have the column, or not one value in it.
        """
        return clip_id if self.split_by == ID else column_value(features, self.split_by)


def hash_of(value: str, what: bytes) -> int:
    """64 bits of a text, the same for ever; `what` says which hash of it is meant."""
    digest = hashlib.blake2b(value.encode(), digest_size=_HASH_BITS // 8, person=what).digest()
    return int.from_bytes(digest, "big")


def order_of(clip_id: str, seed: int) -> int:
    """The place of a clip in the random order of a seed, below 2^64."""
    return hash_of(f"{seed}:{clip_id}", _OF_ORDER)


def column_value(features: Mapping[str, Any], column: str) -> str:
    """The one value of a column, as text: 19, 19.0 and "19" are the same speaker.

    Raises:
        Reject: bad_field, there is none, or several, or it is not text.
    """
    named = f"feature {column!r}, which --split_by names"
    kind, count = kind_and_count(features[column]) if column in features else ("", 0)
    if not count:
        others = ", ".join(sorted(set(features) - {"audio"}))
        raise Reject("bad_field", f"no {named}; the record has {others or 'no other feature than its audio'}")
    if count != 1:
        raise Reject("bad_field", f"{count} values in {named}: a clip belongs to one split")
    value = getattr(features[column], kind).value[0]
    if kind == FLOAT:
        if not math.isfinite(value):
            raise Reject("bad_field", f"{value} in {named}")
        return str(int(value)) if value == int(value) else repr(value)
    if kind == BYTES:
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            raise Reject("bad_field", f"bytes that are no UTF-8 in {named}") from error
    text = str(value)
    if not text.strip():
        raise Reject("bad_field", f"an empty {named}")
    return text


def check_first_records(units: Iterable[Unit], division: Division) -> None:
    """Looks at the first records that can be read: a column that none of them has is refused at the start.

    Raises:
        UsageError: it names the column, and those that there are.
        OSError: the input cannot be read.
    """
    if division.split_by == ID:
        return
    first: Reject | None = None
    records = (item for unit in units for item in read_unit(unit) if isinstance(item, AudioRecord))
    for record in islice(records, _LOOKED_AT):
        with suppress(Reject):
            features = audio_features(record.data)
            try:
                column_value(features, division.split_by)
                return
            except Reject as reject:
                first = first or reject
    if first is not None:
        raise UsageError(
            Refusal.BAD_COLUMNS,
            f"--split_by={division.split_by}: {first.detail}. Name a column that every clip has, or map it: "
            f"--columns={division.split_by}=THEIRS",
        )


def parse_splits(text: str) -> tuple[tuple[str, Fraction], ...]:
    """The names of `--split` with their fractions; a name alone stands for all clips.

    Raises:
        UsageError: a name is none.
        ValueError: a fraction is none, or they do not sum to 1; the message names it.
    """
    if "=" not in text and "," not in text:
        check_split(text)
        return ((text, Fraction(1)),)
    splits: dict[str, Fraction] = {}
    for part in text.split(","):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        check_split(name)
        if name in splits:
            raise ValueError(f"--split={text} names {name!r} twice")
        if not equals:
            raise ValueError(f"--split={text}: {name!r} has no fraction: write --split={SPLITS_EXAMPLE}")
        splits[name] = _fraction(number, name)
    total = sum(splits.values(), Fraction(0))
    if abs(total - 1) > _SUM_TOLERANCE:
        raise ValueError(f"--split={text}: the fractions must sum to 1, and sum to {float(total):.9g}")
    if len(splits) > _MAX_SPLITS:
        raise ValueError(f"--split names {len(splits)} splits, at most {_MAX_SPLITS} are possible")
    return tuple(splits.items())


def _fraction(number: str, name: str) -> Fraction:
    wrong = f"--split: the fraction of {name!r} must be a number above 0 and at most 1, got {number!r}"
    try:
        fraction = Fraction(number)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(wrong) from error
    if not 0 < fraction <= 1:
        raise ValueError(wrong)
    return fraction
