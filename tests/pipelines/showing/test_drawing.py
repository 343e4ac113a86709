"""The picture in characters: what stands where, in shades and in colours, in any width."""

import io
import re

import ml_dtypes
import numpy as np
import pytest

from melbeam.pipelines.showing import drawing
from melbeam.pipelines.showing.drawing import Screen, draw

PLAIN = Screen(80, False, "utf-8")
COLOURED = Screen(80, True, "utf-8")
CODE = re.compile(r"\x1b\[[0-9;]*m")


def rows(lines, label):
    return [line[label + 2 :] for line in lines[:-2]]


def test_time_goes_right_and_bins_upwards():
    features = np.zeros((12, 4), np.float32)
    features[9, 3] = 5  # late, and high
    assert draw(features, 100, PLAIN) == [
        "3 |         @  ",
        "  |            ",
        "  |            ",
        "0 |            ",
        "   0     0.12 s",
        "0.00 ' .:-=+*#%@' 5.00",
    ]


def test_a_long_clip_is_drawn_in_the_width_that_there_is():
    features = np.repeat(np.arange(3000)[:, None], 128, axis=1)
    for width in (40, 80, 200):
        lines = draw(features, 100, Screen(width, False, "utf-8"))
        assert max(map(len, lines)) == width
        assert len(lines) == 16 + 2
        picture = rows(lines, 3)
        assert picture[0][0] == " "
        assert picture[0][-1] == "@"
        assert lines[-2].endswith("30.00 s")
    narrow = draw(features, 100, Screen(5, False, "utf-8"))
    assert {len(row) for row in rows(narrow, 3)} == {16}


def test_means_of_neighbours_keep_the_mean():
    """Every value is in one cell: the cells' means, weighted by their sizes, are the mean of all."""
    values = np.random.default_rng(0).standard_normal((37, 5))
    cells = drawing._means(values, 8)
    sizes = np.diff([*(np.arange(8) * 37 // 8), 37])
    np.testing.assert_allclose((cells * sizes[:, None]).sum(0) / 37, values.mean(0), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(drawing._means(values, 37), values)


def test_in_colours_a_character_is_two_bins_high():
    features = np.zeros((6, 4), np.float32)
    features[:, 0] = 1  # the lowest bin alone
    lines = draw(features, 100, COLOURED)
    upper, lower = rows(lines, 1)
    assert CODE.sub("", upper) == CODE.sub("", lower) == "▀" * 6
    low, high = drawing._COLOURS[0], drawing._COLOURS[-1]
    assert f"\x1b[38;5;{low};48;5;{low}m" in upper
    assert f"\x1b[38;5;{low};48;5;{high}m" in lower
    assert all(line.endswith("\x1b[0m") for line in (upper, lower))


@pytest.mark.parametrize("screen", [PLAIN, COLOURED], ids=["plain", "coloured"])
@pytest.mark.parametrize(
    "features",
    [
        np.full((50, 128), -6.9, np.float32),
        np.zeros((1, 1), np.float32),
        np.full((20, 80), np.nan, np.float32),
        np.array([[np.inf, 1.0], [-np.inf, np.nan]], np.float32),
        np.ones((30, 80), ml_dtypes.bfloat16),
        np.ones((30, 81), np.float16) * 60000,
    ],
    ids=["constant", "one value", "no numbers", "infinite", "bfloat16", "float16"],
)
def test_every_tensor_can_be_drawn(features, screen):
    lines = draw(features, 100, screen)
    assert len({len(CODE.sub("", line)) for line in lines[:-2]}) == 1
    assert len(lines) >= 3


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("variables", "encoding", "colours"),
    [
        ({"TERM": "xterm-256color"}, "utf-8", True),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "utf-8", True),  # no-color.org: "when present and not empty"
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "utf-8", False),
        ({"TERM": "dumb"}, "utf-8", False),
        ({}, "utf-8", False),
        ({"TERM": "xterm-256color"}, "ascii", False),  # which has no half block
    ],
)
def test_where_there_are_colours(monkeypatch, variables, encoding, colours):
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    stream.encoding = encoding
    assert Screen.of(stream).colours == colours
    assert not Screen.of(io.StringIO()).colours


def test_the_width_is_the_terminals(monkeypatch):
    monkeypatch.setenv("COLUMNS", "133")
    assert Screen.of(io.StringIO()).width == 133


def test_what_the_encoding_lacks_becomes_an_escape():
    assert Screen(80, False, "ascii").writable("a é ▀") == r"a \xe9 \u2580"
    assert Screen(80, False, "utf-8").writable("a é ▀") == "a é ▀"
