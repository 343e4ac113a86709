"""Which clips a report pictures, and reading those: only they are read, each from its place in its shard."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np

from melbeam.pipelines.reporting.parts import Part
from melbeam.transforms.reading.arrays import is_default
from melbeam.transforms.reading.source import FeatureSource
from melbeam.transforms.records.schema import FEATURE_RECORD, TENSOR, TEXT
from melbeam.transforms.records.split_schema import StoredField

NUM_CLIPS = 12
# What a clip is shown for, by quantity and by which end of it.
_ROLES = (
    ("longest", "seconds", "largest"),
    ("shortest", "seconds", "least"),
    ("loudest", "rms_dbfs", "largest"),
    ("quietest", "rms_dbfs", "least"),
    ("most at full scale", "full_scale_fraction", "largest"),
    ("changes least", "spread", "least"),
    ("fastest text", "characters_per_second", "largest"),
    ("slowest text", "characters_per_second", "least"),
)
_AT_RANDOM = "at random"
_OWN = {one.name for one in FEATURE_RECORD}


@dataclass(frozen=True)
class Clip:
    """A feature record that is pictured.

    Attributes:
        roles: what it is shown for.
        shard: number of its shard.
        features: float32 `[num_frames, num_mels]`, valid frames only.
        fields: melbeam's own fields of the record, those that it has.
        others: what was passed through.
    """

    roles: tuple[str, ...]
    shard: int
    features: np.ndarray
    fields: dict[str, Any]
    others: dict[str, Any]

    @property
    def id(self) -> str:
        """The record's id."""
        return _text(self.fields["id"])

    @property
    def text(self) -> str | None:
        """Its transcript; None where it has none."""
        text = self.others.get(TEXT)
        return _text(text) if isinstance(text, bytes) else None

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.fields["num_samples"] / self.fields["sampling_rate"]


@dataclass
class Pictured:
    """The clips of a split that are pictured, and why some are not.

    Attributes:
        clips: those that could be read.
        faults: why others could not, in words.
    """

    clips: list[Clip] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def choose(part: Part) -> dict[int, tuple[str, ...]]:
    """The clips to picture, by their numbers in the split, with what each is shown for; the same on every run."""
    *starts, total = [0, *_ends_of_shards(part)]
    roles: dict[int, list[str]] = {}
    for role, quantity, end in _ROLES:
        distribution = part.summary.distributions.get(quantity)
        extremes = getattr(distribution, end) if distribution else []
        if not extremes or (quantity == "full_scale_fraction" and not extremes[0].value):
            continue
        roles.setdefault(starts[extremes[0].shard] + extremes[0].record, []).append(role)
    # More than are needed are drawn, because some may be shown already.
    drawn = random.Random(part.job_hash).sample(range(total), min(total, 2 * NUM_CLIPS))
    for number in drawn:
        if len(roles) >= NUM_CLIPS:
            break
        roles.setdefault(number, [_AT_RANDOM])
    return {number: tuple(of) for number, of in roles.items()}


def read_clips(part: Part) -> Pictured:
    """Reads the clips to picture. What cannot be read is told, and left out."""
    if not part.is_finished:
        return Pictured(faults=["Clips are pictured once the split is finished."])
    chosen, pictured, columns = choose(part), Pictured(), part.summary.schema(part.front_end).fields
    if not chosen:
        return pictured
    split, output = part.folder.split, part.folder.output
    ends = _ends_of_shards(part)
    try:
        # One slice a clip: only the indexes of their shards are read.
        slices = "+".join(f"{split}[{number}:{number + 1}]" for number in chosen)
        source = FeatureSource(output, slices, features=[TENSOR, *columns])
    except (ValueError, OSError) as error:
        return Pictured(faults=[str(error)])
    for place, (number, roles) in enumerate(chosen.items()):
        try:
            record = source[place]
        except (ValueError, OSError) as error:
            pictured.faults.append(str(error))
            continue
        pictured.clips.append(_clip(record, roles, bisect_right(ends, number), columns))
    return pictured


def _ends_of_shards(part: Part) -> list[int]:
    """How many records of a finished split there are up to the end of each shard."""
    return list(accumulate(count for _, count in sorted(part.summary.shard_features.items())))


def limits_of(clips: Sequence[Clip]) -> tuple[float, float]:
    """The least and the largest value of all the clips, on which they can be compared."""
    return min(float(clip.features.min()) for clip in clips), max(float(clip.features.max()) for clip in clips)


def _clip(
    record: Mapping[str, Any], roles: tuple[str, ...], shard: int, columns: Mapping[str, StoredField]
) -> Clip:
    features = np.asarray(record[TENSOR], np.float32)[: int(record["num_frames"])]
    found = {
        name: value
        for name, value in record.items()
        if name != TENSOR and not (columns[name].optional and is_default(value, columns[name]))
    }
    own = {name: value for name, value in found.items() if name in _OWN}
    return Clip(roles, shard, features, own, {name: value for name, value in found.items() if name not in _OWN})


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
