"""Distributions merge exactly, whatever the order and the grouping."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from melbeam.transforms.distributions import NUM_EXTREMES, Distribution, Extreme

VALUES = st.lists(st.floats(-300, 300, width=32), min_size=1, max_size=30)


def of(numbered, bin_width=0.5):
    found = Distribution()
    for number, value in numbered:
        found.add_value(value, bin_width, f"id-{number}", number % 3, number)
    return found


@given(VALUES, st.randoms(use_true_random=False), st.integers(0, 30))
def test_any_order_and_any_grouping_give_the_same(values, order, cut):
    numbered = list(enumerate(values))
    expected = of(numbered)
    order.shuffle(numbered)
    merged = of(numbered[:cut])
    merged.add(of(numbered[cut:]))
    assert merged == expected


@given(VALUES)
def test_it_is_numpys(values):
    found = of(enumerate(values))
    assert found.count == len(values)
    assert found.mean() == pytest.approx(np.mean(values), abs=1e-9)  # a fixed point of 2**-32 each
    assert sum(found.histogram.values()) == len(values)
    for number, count in found.histogram.items():
        assert count == sum(math.floor(value / 0.5) == number for value in values)
    ordered = sorted(values)
    assert [extreme.value for extreme in found.least] == ordered[:NUM_EXTREMES]
    assert [extreme.value for extreme in found.largest] == ordered[::-1][:NUM_EXTREMES]


def test_extremes_say_where_their_records_lie():
    found = of([(0, 5.0), (1, 1.0), (2, 9.0), (3, 1.0), (4, 2.0)])
    assert found.least == [Extreme(1.0, "id-1", 1, 1), Extreme(1.0, "id-3", 0, 3), Extreme(2.0, "id-4", 1, 4)]
    assert found.largest[0] == Extreme(9.0, "id-2", 2, 2)


def test_nothing_has_a_mean_of_0():
    assert Distribution().mean() == 0.0
