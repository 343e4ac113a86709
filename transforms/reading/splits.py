"""Which records a split's name asks for, in TFDS's words: "train", "train[:90%]", "train+test[10:20]".

The words, their rounding and their refusals are those of `tfds.core.ReadInstruction` and its `from_spec`
(https://www.tensorflow.org/datasets/splits); TFDS is not needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

# One term of a sum: a name, and perhaps a slice of it.
_TERM = re.compile(r"(?P<split>\w+)(?:\[(?P<selector>[^\]]*)\])?")
_BOUNDARY = re.compile(r"(?P<value>-?\d[\d_]*(?:\.\d+)?)(?P<unit>%|shard)?|")
_ALL = "all"
_HOW = "name it as TFDS does: train, train[:90%], train[-100:], train[2shard:4shard], train+test"


@dataclass(frozen=True)
class SplitRange:
    """Records of a split that follow each other.

    Attributes:
        split: its name.
        start: number of the first one in the split.
        stop: number behind the last one.
    """

    split: str
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class ShardRange:
    """Records of a shard that follow each other; attributes as of `SplitRange`, in the shard."""

    split: str
    shard: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def parse_split(text: str, shard_lengths: Mapping[str, Sequence[int]]) -> list[SplitRange]:
    """The records that a split's name asks for.

    Args:
        text: what a user wrote.
        shard_lengths: records of each shard, by split, of the splits that there are.

    Raises:
        ValueError: there is no such split, the words are none of TFDS's, or a slice is out of its split, or empty.
    """
    if not isinstance(text, str):
        joined = "+".join(map(str, text)) if isinstance(text, list | tuple) else "train"
        raise ValueError(f"split must be a string, {joined!r} for example, got {text!r}: {_HOW}")
    ranges = []
    for term in text.split("+"):
        found = _TERM.fullmatch(term.strip())
        if found is None:
            raise ValueError(f"split {text!r}: {term.strip()!r} is no name of a split, nor a slice of one: {_HOW}")
        split, selector = found["split"], found["selector"]
        if split == _ALL and split not in shard_lengths:
            if selector is not None:
                raise ValueError(f"split {text!r}: {_ALL!r}, all splits, takes no slice: {_HOW}")
            ranges += [SplitRange(name, 0, sum(lengths)) for name, lengths in shard_lengths.items()]
        elif split not in shard_lengths:
            raise ValueError(
                f"the folder has no finished split {split!r}; it has {', '.join(shard_lengths) or 'none'}"
            )
        elif selector is None:
            ranges.append(SplitRange(split, 0, sum(shard_lengths[split])))
        else:
            ranges.append(SplitRange(split, *_bounds(term.strip(), selector, shard_lengths[split])))
    return ranges


def shards_of(ranges: Sequence[SplitRange], shard_lengths: Mapping[str, Sequence[int]]) -> Iterator[ShardRange]:
    """The shards that hold the records of some ranges, in order, with the records of each."""
    for wanted in ranges:
        first = 0  # number of the shard's first record
        for shard, length in enumerate(shard_lengths[wanted.split]):
            start, stop = max(wanted.start - first, 0), min(wanted.stop - first, length)
            if start < stop:
                yield ShardRange(wanted.split, shard, start, stop)
            first += length


def part_of(ranges: Sequence[SplitRange], index: int, count: int) -> list[SplitRange]:
    """One of `count` parts of the records: each is in just one, and no two differ by more than one record."""
    total = sum(map(len, ranges))
    start, stop = total * index // count, total * (index + 1) // count
    part, first = [], 0
    for whole in ranges:
        from_here, to_here = max(start - first, 0), min(stop - first, len(whole))
        if from_here < to_here:
            part.append(SplitRange(whole.split, whole.start + from_here, whole.start + to_here))
        first += len(whole)
    return part


def _bounds(term: str, selector: str, lengths: Sequence[int]) -> tuple[int, int]:
    """First and last-but-one record of a slice `FROM:TO`, or of one shard, `3shard`."""
    matches = [_BOUNDARY.fullmatch(part) for part in selector.split(":")]
    values = [match["value"] if match else None for match in matches]
    units = {match["unit"] or "" for match in matches if match and match["value"]}
    if not all(matches) or not units or len(matches) > 2 or (len(matches) == 1 and units != {"shard"}):
        raise ValueError(f"split {term!r}: [{selector}] is no slice: {_HOW}")
    if len(units) > 1:
        raise ValueError(f"split {term!r}: both ends of a slice must have the same unit: {_HOW}")
    (unit,) = units
    if unit != "%" and any(value is not None and "." in value for value in values):
        raise ValueError(f"split {term!r}: only percent may have a fraction: {_HOW}")
    numbers = [None if value is None else float(value) if unit == "%" else int(value) for value in values]
    if len(numbers) == 1:
        numbers.append(numbers[0] + 1)  # type: ignore[operator]
    total, (start, stop) = sum(lengths), numbers
    if unit == "%":
        outside = [number for number in numbers if number is not None and abs(number) > 100]
        if outside:
            raise ValueError(f"split {term!r}: percents must be in [-100, 100], got {outside[0]:g}")
        start = None if start is None else round(start * total / 100.0)
        stop = None if stop is None else round(stop * total / 100.0)
    elif unit == "shard":
        start = None if start is None else sum(lengths[: int(start)])
        if stop is not None:
            stop = sum(lengths[: int(stop) + len(lengths) if stop <= 0 else int(stop)])
    first, behind = (0 if start is None else int(start)), (total if stop is None else int(stop))
    if abs(first) > total or abs(behind) > total:
        raise ValueError(f"split {term!r}: the slice goes beyond the {total} records of the split")
    first, behind = (number + total if number < 0 else number for number in (first, behind))
    if first >= behind:
        raise ValueError(f"split {term!r}: the slice holds none of the {total} records of the split")
    return first, behind
