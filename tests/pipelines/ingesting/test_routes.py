"""Clips are given to shards in order and in equal numbers, however their units were cut."""

import numpy as np
import pytest

from melbeam.pipelines.ingesting.division import order_of
from melbeam.pipelines.ingesting.routes import (
    CLIP,
    LEFT_OUT,
    REJECT,
    ROUTE,
    UNKNOWN,
    Counted,
    decode_routes,
    encode_routes,
    key_in_order,
)


def routes_of(units, seed):
    """This gives the routes of units, each a list of its clips' splits; -1 - split stands for a reject of that."""
    made = []
    for unit, splits in enumerate(units):
        rows = []
        for number, split in enumerate(splits):
            key = key_in_order(unit, number) if seed is None else order_of(f"{unit}/{number}", seed)
            kind, split = (CLIP, split) if split >= 0 else (REJECT, -1 - split)
            rows.append((split, kind, key, 100 * number, 84, 1_000_000))
        made.append(decode_routes(encode_routes(rows)))
    return made


def shards_of(units, split, num_shards, seed):
    """Key, kind and shard of each route of a split, sorted by key."""
    is_shuffled = seed is not None
    made = routes_of(units, seed)
    counted = Counted.merged([Counted.of_routes(routes, is_shuffled=is_shuffled) for routes in made])
    found = []
    for routes in made:
        mine = routes[routes["split"] == split]
        if len(mine):
            shards = counted.shards_of(mine, num_shards, is_shuffled=is_shuffled)
            found += zip(mine["key"].tolist(), mine["kind"].tolist(), shards.tolist(), strict=True)
    return sorted(found)


@pytest.mark.parametrize("seed", [None, 7])
@pytest.mark.parametrize("sizes", [[1000], [1] * 40, [0, 7, 0, 300, 1], [2, 2]])
@pytest.mark.parametrize("num_shards", [1, 2, 3])
def test_a_split_is_in_order_across_its_shards_which_are_equally_large(seed, sizes, num_shards):
    random = np.random.default_rng(0)
    units = [random.choice([0, 0, 0, 1, -1, -2], size) for size in sizes]
    units[0] = np.append(units[0], [0, 0, 0])
    found = shards_of(units, 0, num_shards, seed)
    shards = [shard for _, _, shard in found]
    assert shards == sorted(shards)
    assert set(shards) <= set(range(num_shards))
    clips = np.bincount([shard for _, kind, shard in found if kind == CLIP], minlength=num_shards)
    # In a random order, places within a range are estimated, and so many clips have few ranges to themselves.
    assert clips.max() - clips.min() <= (1 if seed is None else 2)


def test_a_range_of_many_clips_is_divided_too():
    """As a range of a corpus of millions is: here all clips lie in one."""
    rows = [(0, CLIP, (3 << 48) + n * (1 << 47) // 1000, 0, 9, UNKNOWN) for n in range(2000)]
    routes = np.array(rows, ROUTE)
    counted = Counted.of_routes(routes, is_shuffled=True)
    assert counted.ranges == {0: {3: 2000}}
    assert np.bincount(counted.shards_of(routes, 4, is_shuffled=True).astype(int)).tolist() == [500] * 4


def test_only_clips_are_counted():
    rows = [(0, kind, key, 0, 50, UNKNOWN) for key, kind in enumerate((CLIP, REJECT, LEFT_OUT, CLIP))]
    counted = Counted.of_routes(np.array(rows, ROUTE), is_shuffled=False)
    assert (counted.num_clips(0), counted.num_bytes) == (2, {0: 100})
    assert (counted.num_clips(1), counted.num_shards(1, 8, 100)) == (0, 1)


@pytest.mark.parametrize(
    ("asked", "shard_bytes", "expected"), [(None, 1000, 1), (None, 30, 4), (None, 1, 4), (3, 1, 3), (9, 1, 4)]
)
def test_a_split_has_the_shards_that_were_asked_for_but_none_without_a_clip(asked, shard_bytes, expected):
    routes = np.array([(0, CLIP, key, 0, 25, UNKNOWN) for key in range(4)], ROUTE)
    assert Counted.of_routes(routes, is_shuffled=False).num_shards(0, asked, shard_bytes) == expected
