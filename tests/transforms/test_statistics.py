"""Sums that merge exactly, in whatever order the shards come."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from melbeam.transforms.statistics import BinStatistics, ClipSums

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


@pytest.mark.parametrize("value", [-6.5, np.log(0.001), 0.1, 1e-3])
@pytest.mark.parametrize("frames", [(3, 1000), (99,), (1099,), (2999,), (2999,) * 34])
def test_a_constant_bin_has_no_deviation(value, frames):
    """Its sums are rounded, so that they alone leave 1e-6 or nothing, as chance will have it."""
    clips = [np.full((count, 2), value, np.float32) for count in frames]
    for clip in clips:
        clip[1::2, 1] += 0.5
    sums = total(map(BinStatistics.of, clips))
    assert sums.stddev()[0] == 0
    assert sums.stddev()[1] > 0.2


def test_bins_that_are_constant_by_clip_only_have_a_deviation():
    one, other = (np.full((50, 3), value, np.float32) for value in (1, 2))
    one[:, 0] = other[:, 0] = -0.0
    other[7:9, 0] = 0.0  # which equals it
    one[20, 2] = 3.0  # neither in the first frame, nor in the last
    sums = total(map(BinStatistics.of, (one, other)))
    assert BinStatistics.of(one).constants == [0, 1, None]
    assert sums.constants == [0, None, None]
    np.testing.assert_allclose(sums.stddev(), np.concatenate([one, other]).std(axis=0), atol=1e-6)
    together = BinStatistics()
    together.add_clips([ClipSums.of(one), ClipSums.of(other)])
    assert together == sums
    # Version 1 did not keep them: what is added to it does not know them either.
    sums.add(BinStatistics(1, [0, 0, 0], [0, 0, 0]))
    assert sums.constants == []


def test_a_clip_that_never_changes_has_no_spread():
    assert ClipSums.of(np.full((99, 4), np.log(0.001))).spread == 0
    changing = np.random.default_rng(0).standard_normal((5000, 4))
    assert abs(ClipSums.of(changing).spread - 1) < 0.02  # of 20,000 values, a deviation to 0.5 %


@pytest.mark.parametrize("scale", [1e-6, 0.001, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("frames", [1, 2, 7, 20_000])
def test_a_bin_that_hardly_changes_is_not_constant_and_one_that_does_not_is(scale, frames):
    features = (scale * np.random.default_rng(frames).standard_normal((frames, 5))).astype(np.float32)
    features[:, 1] = np.float32(scale) / 3
    features[:, 2] = -features[0, 0]
    features[frames // 2, 2] = np.nextafter(features[0, 2], np.float32(np.inf))  # by a last bit
    sums = ClipSums.of(features)
    same = (features == features[0]).all(axis=0)
    assert np.isnan(sums.constants).tolist() == (~same).tolist()
    np.testing.assert_array_equal(sums.constants[same], features[0, same])
    # The fixed point of 2**-32 leaves a variance of some 1e-10 times what it is of.
    expected = np.sqrt(features.astype(np.float64).var(axis=0).mean())
    assert sums.spread == pytest.approx(expected, rel=1e-6, abs=2e-5 * max(1, scale**0.5))


def test_millions_of_frames_do_not_lose_a_quiet_bin():
    clip = BinStatistics.of(np.array([[100.0], [100.5]]))
    sums = BinStatistics()
    for _ in range(40):  # 2**41 frames: about 7 centuries
        clip.add(BinStatistics(clip.num_frames, list(clip.sums), list(clip.squares)))
    sums.add(clip)
    assert sums.num_frames == 2**41
    assert (sums.mean(), sums.stddev()) == ([100.25], [0.25])


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
