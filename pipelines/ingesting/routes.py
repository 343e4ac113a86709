"""Decides where each clip goes: its split, its place in the split's order, and, once all are counted, its shard.

The routes of a unit's clips are kept beside them, a row a clip. From all of them each split's clips are counted in
ranges of its order. So a clip's rank in its split is known without sorting the corpus, and the shards of a split
hold equally many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from melbeam.transforms.records.row_files import decode_rows, encode_rows

# What a row stands for: a clip, a reject, or a clip that another split has already.
CLIP, REJECT, LEFT_OUT = range(3)
# `split` and `kind` as numbers; `key`, the place in the split's order; where the record lies in the unit's file,
# in bytes; `microseconds` of audio, -1 where the length is unknown.
ROUTE = np.dtype(
    [
        ("split", "u1"),
        ("kind", "u1"),
        ("key", "<u8"),
        ("offset", "<u8"),
        ("size", "<u4"),
        ("microseconds", "<i8"),
    ]
)
UNKNOWN = -1
# Where the input's order is kept, each unit is a range, and the lower half of a key numbers its records.
_UNIT_BITS = 32
# A random order has 65,536 ranges; within one, clips are taken as evenly spread, by the next 32 bits of the key.
_SHUFFLED_BITS, _BITS_OF_A_PLACE = 48, 16


def key_in_order(unit: int, number: int) -> int:
    """The key of a record in the order of the input: the number of its unit, and its own in that."""
    return unit << _UNIT_BITS | number


def encode_routes(rows: Sequence[tuple[int, ...]]) -> bytes:
    """The file of some routes."""
    return encode_rows(rows, ROUTE)


def decode_routes(data: bytes) -> np.ndarray:
    """Inverse of `encode_routes`: `ROUTE` `[num_rows]`."""
    return decode_rows(data, ROUTE)


@dataclass
class Counted:
    """Counts of the clips of some units: for each split, by its number, the clips of each range, and all bytes."""

    ranges: dict[int, dict[int, int]] = field(default_factory=dict)
    num_bytes: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of_routes(cls, routes: np.ndarray, *, is_shuffled: bool) -> Counted:
        """The clips of a unit."""
        counted = cls()
        clips = routes[routes["kind"] == CLIP]
        for split in np.unique(clips["split"]).tolist():
            mine = clips[clips["split"] == split]
            numbers, counts = np.unique(_ranges(mine["key"], is_shuffled=is_shuffled), return_counts=True)
            counted.ranges[split] = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
            counted.num_bytes[split] = int(mine["size"].sum(dtype=np.int64))
        return counted

    @classmethod
    def merged(cls, parts: Iterable[Counted]) -> Counted:
        """The sum of several."""
        total = cls()
        for part in parts:
            for split, ranges in part.ranges.items():
                mine = total.ranges.setdefault(split, {})
                for number, count in ranges.items():
                    mine[number] = mine.get(number, 0) + count
                total.num_bytes[split] = total.num_bytes.get(split, 0) + part.num_bytes[split]
        return total

    def num_clips(self, split: int) -> int:
        """Clips of a split."""
        return sum(self.ranges.get(split, {}).values())

    def num_shards(self, split: int, num_shards: int | None, shard_bytes: int) -> int:
        """Shards of a split: those asked for, but at most one a clip; or by their size; at least one."""
        wanted = -(-self.num_bytes.get(split, 0) // shard_bytes) if num_shards is None else num_shards
        return max(1, min(wanted, self.num_clips(split)))

    def shards_of(self, routes: np.ndarray, num_shards: int, *, is_shuffled: bool) -> np.ndarray:
        """The shard of each route: it never falls as the key grows, so that a split is in order across its shards.

        Args:
            routes: of one unit and one split, at least one, in the order of the input.
            num_shards: of the split.
            is_shuffled: whether keys are of a random order, or of the input's.
        """
        split, is_clip = int(routes["split"][0]), routes["kind"] == CLIP
        ranges = self.ranges.get(split, {})
        numbers = np.array(sorted(ranges), np.uint64)
        counts = np.array([*(ranges[number] for number in numbers.tolist()), 0], np.uint64)
        before = np.cumsum(counts, dtype=np.uint64) - counts
        mine = _ranges(routes["key"], is_shuffled=is_shuffled)
        at = np.searchsorted(numbers, mine)
        if is_shuffled:
            # A reject may lie in a range without a clip.
            found = np.append(numbers, np.uint64(0))[at] == mine
            place = routes["key"] >> np.uint64(_BITS_OF_A_PLACE) & np.uint64(0xFFFFFFFF)
            inside = place * np.where(found, counts[at], np.uint64(0)) >> np.uint64(32)
        else:
            inside = np.cumsum(is_clip, dtype=np.uint64) - is_clip.astype(np.uint64)
        ranks = (before[at] + inside) * np.uint64(num_shards) // np.uint64(max(1, self.num_clips(split)))
        return np.minimum(ranks, np.uint64(num_shards - 1))


def _ranges(keys: np.ndarray, *, is_shuffled: bool) -> np.ndarray:
    return keys >> np.uint64(_SHUFFLED_BITS if is_shuffled else _UNIT_BITS)
