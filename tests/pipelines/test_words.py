"""Figures as people say them."""

import pytest

from melbeam.pipelines import words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0.0 s"),
        (3.84, "3.8 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (250, "4 min 10 s"),
        (3599.6, "1 h"),
        (65_340, "18 h 9 min"),
        (48 * 3600 - 29, "2 d"),
        (1e7, "115 d 18 h"),
    ],
)
def test_durations(seconds, said):
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("num_bytes", "said"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (3.1 * 2**30, "3.1 GiB"),
        (1023.99 * 2**20, "1.0 GiB"),
        (2**60, "1024.0 PiB"),
    ],
)
def test_sizes(num_bytes, said):
    assert words.size(num_bytes) == said


def test_counts():
    assert [words.count(number, "shard") for number in (0, 1, 2)] == ["0 shards", "1 shard", "2 shards"]


def test_names_of_a_few_and_of_many():
    assert words.named(["a", "b"], 2) == "a, b"
    assert words.named(["a", "b"], 7) == "for example a, b"


def test_the_first_few_of_some():
    names = ["a", "b", "c"]
    assert words.first_few(names, 3) == "a, b, c"
    assert words.first_few(names, 1) == "a and 2 more"
