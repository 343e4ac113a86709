"""Sums that merge exactly, in whatever order the shards come."""

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from melbeam.transforms.statistics import BinStatistics

CLIPS = st.lists(
    st.integers(1, 5).flatmap(
        lambda frames: st.lists(
            st.lists(st.floats(-20, 20, width=32), min_size=3, max_size=3), min_size=frames, max_size=frames
        )
    ),
    min_size=1,
    max_size=8,
)


def total(parts):
    sums = BinStatistics()
    for part in parts:
        sums.add(part)
    return sums


@given(CLIPS, st.randoms(use_true_random=False), st.integers(0, 8))
def test_any_order_and_any_grouping_give_the_same_integers(clips, order, cut):
    parts = [BinStatistics.of(np.array(clip, np.float32)) for clip in clips]
    expected = total(parts)
    order.shuffle(parts)
    assert total(parts) == expected
    assert total([total(parts[:cut]), total(parts[cut:])]) == expected
    assert all(type(number) is int for number in expected.sums + expected.squares)


@pytest.mark.parametrize(("mean", "spread"), [(0, 1), (-6.9, 0.5), (3, 1e-3), (1000, 1)])
def test_mean_and_stddev_are_numpys(mean, spread):
    generator = np.random.default_rng(1)
    clips = [mean + spread * generator.standard_normal((frames, 128)) for frames in (1, 99, 3000, 7)]
    sums = total(BinStatistics.of(clip) for clip in clips)
    frames = np.concatenate(clips)
    assert sums.num_frames == 3107
    np.testing.assert_allclose(sums.mean(), frames.mean(axis=0), rtol=1e-9, atol=1e-9)
    # An error of 2**-32 in the sum of squares is one of 1e-9 in the deviation, or of the mean's more.
    np.testing.assert_allclose(sums.stddev(), frames.std(axis=0), rtol=1e-9, atol=1e-9 * max(1, abs(mean)))


def test_a_constant_bin_has_no_deviation():
    sums = total([BinStatistics.of(np.full((frames, 2), -6.5, np.float32)) for frames in (3, 1000)])
    assert (sums.mean(), sums.stddev()) == ([-6.5, -6.5], [0.0, 0.0])


def test_millions_of_frames_do_not_lose_a_quiet_bin():
    clip = BinStatistics.of(np.array([[100.0], [100.5]]))
    sums = BinStatistics()
    for _ in range(40):  # 2**41 frames: about 7 centuries
        clip.add(BinStatistics(clip.num_frames, list(clip.sums), list(clip.squares)))
    sums.add(clip)
    assert sums.num_frames == 2**41
    assert (sums.mean(), sums.stddev()) == ([100.25], [0.25])


def test_it_comes_back_from_json():
    sums = BinStatistics(5, [1 << 90, -3], [7, 1 << 200])
    assert BinStatistics.from_dict(json.loads(json.dumps(sums.to_dict()))) == sums
    assert BinStatistics.from_dict(BinStatistics().to_dict()) == BinStatistics()


def test_adding_does_not_touch_what_was_added():
    part = BinStatistics.of(np.ones((2, 3)))
    sums = total([part, part])
    assert (part.num_frames, sums.num_frames) == (2, 4)
    sums.add(part)
    assert part == BinStatistics.of(np.ones((2, 3)))


def test_nothing_adds_nothing():
    part = BinStatistics.of(np.ones((2, 3)))
    assert total([BinStatistics(), part, BinStatistics()]) == part


def test_other_numbers_of_bins_are_refused():
    with pytest.raises(ValueError):  # noqa: PT011 (zip's own words)
        total([BinStatistics.of(np.ones((1, 3))), BinStatistics.of(np.ones((1, 4)))])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value):
    features = np.zeros((4, 3), np.float32)
    features[1, 2] = features[3, 0] = value
    with pytest.raises(ValueError, match="2 feature values are not finite"):
        BinStatistics.of(features)


def test_small_dtypes_are_summed_exactly():
    import ml_dtypes

    features = np.array(random.Random(3).choices([0.125, -7.5, 3.0], k=3000)).reshape(1000, 3)
    expected = BinStatistics.of(features)
    for dtype in (np.float16, np.float32, ml_dtypes.bfloat16):
        assert BinStatistics.of(features.astype(dtype)) == expected
