"""Numbers against their bounds, refused by name."""

import numpy as np
import pytest

from melbeam.transforms.bounds import check_flag, check_integer, check_number


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_whole_numbers_within_bounds(value):
    check_integer("--count", value, at_least=1, at_most=7)


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.25), np.int8(1)])
def test_numbers_within_bounds(value):
    check_number("--share", value, above=0, at_most=1)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, r"^--count must be in \[1, 7\] shards, got 0$"),
        (8, "got 8"),
        (None, r"^--count must be a whole number, in \[1, 7\] shards, got None$"),
        (True, "got True"),
        ("3", "got '3'"),
        (3.0, "got 3.0"),
        (float("nan"), "got nan"),
    ],
)
def test_what_is_no_whole_number_within_bounds(value, said):
    with pytest.raises(ValueError, match=said):
        check_integer("--count", value, at_least=1, at_most=7, unit="shards")


@pytest.mark.parametrize(
    ("bounds", "value", "said"),
    [
        ({"above": 0}, 0, "^x must be above 0 s, got 0$"),
        ({"above": 0, "at_most": 9}, 10, "^x must be above 0 and at most 9 s, got 10$"),
        ({"at_least": 0, "at_most": 1}, 1.5, r"^x must be in \[0, 1\] s, got 1.5$"),
        ({"at_least": 2}, 1, "^x must be at least 2 s, got 1$"),
        ({"at_most": 2}, 3, "^x must be at most 2 s, got 3$"),
        ({"at_least": 2}, float("inf"), "^x must be a finite number, at least 2 s, got inf$"),
        ({"at_least": 2}, None, "got None$"),
        ({"at_least": 2}, "5", "got '5'$"),
        ({"at_least": 0}, False, "got False$"),
    ],
)
def test_what_is_no_number_within_bounds(bounds, value, said):
    with pytest.raises(ValueError, match=said):
        check_number("x", value, unit="s", **bounds)


@pytest.mark.parametrize("value", [True, False, np.True_, np.bool_(False)])
def test_flags(value):
    check_flag("--pad", value)


@pytest.mark.parametrize("value", [1, 0, "no", None, np.array([True])])
def test_what_is_no_flag(value):
    with pytest.raises(ValueError, match=r"^--pad must be True or False, got "):
        check_flag("--pad", value)
