"""Which split a clip falls to, and where in the order: by hashes that no release changes."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from melbeam.pipelines.ingesting.division import Division, column_value, order_of, parse_splits
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.tf_example import to_example

THREE = parse_splits("train=0.8,validation=0.1,test=0.1")


def features(**fields):
    return Example.FromString(to_example(fields)).features.feature


def test_a_name_alone_stands_for_all_clips():
    assert parse_splits("train_2") == (("train_2", Fraction(1)),)
    assert Division(parse_splits("train_2")).split_of("anything") == 0


def test_fractions_are_taken_exactly_and_in_their_order():
    expected = [("train", Fraction(4, 5)), ("validation", Fraction(1, 10)), ("test", Fraction(1, 10))]
    assert list(THREE) == expected
    assert dict(parse_splits("a=1/3, b=2/3")) == {"a": Fraction(1, 3), "b": Fraction(2, 3)}
    # Thirds have no decimal fraction, and what is missing goes to the last one.
    assert parse_splits("a=0.3333333,b=0.3333333,c=0.3333333")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("train=0.98,test=0.01", "must sum to 1, and sum to 0.99"),
        ("train=0.9,test=0.2", "sum to 1.1"),
        ("train=1.5,test=-0.5", "of 'train' must be a number above 0 and at most 1, got '1.5'"),
        ("train=1,test=0", "of 'test' must be a number above 0 and at most 1, got '0'"),
        ("train=1,test=nan", "got 'nan'"),
        ("train=1,test=1/0", "got '1/0'"),
        ("train=90%,test=10%", "got '90%'"),
        ("train=0.5,train=0.5", "names 'train' twice"),
        ("train=0.9,test", "'test' has no fraction"),
        ("train=0.9,te-st=0.1", "letters, digits and underscores, got 'te-st'"),
        ("train=0.9,=0.1", "letters, digits and underscores, got ''"),
        ("train,test", "'train' has no fraction"),
        ("a/b", "letters, digits and underscores, got 'a/b'"),
    ],
)
def test_wrong_splits_are_refused_by_name(text, named):
    with pytest.raises(ValueError, match="--split") as refused:
        parse_splits(text)
    assert named in str(refused.value)


def test_these_clips_have_always_been_in_these_splits():
    """A split that moved with a release would put what a model was trained on among what it is tested on."""
    division = Division(THREE)
    ids = ["a", "b", "0001.flac", "speaker 19", "Straße/ü.wav", "", "clip-12"]
    assert [division.names[division.split_of(clip)] for clip in ids] == [
        "train",
        "train",
        "train",
        "train",
        "validation",
        "train",
        "train",
    ]
    assert [order_of(clip, 7) >> 48 for clip in ids] == [15532, 53496, 30916, 41524, 2737, 8502, 63597]


def test_the_fractions_are_met():
    division = Division(THREE)
    found = Counter(division.names[division.split_of(f"clip {number}")] for number in range(20_000))
    for name, fraction in THREE:
        # Five standard deviations of a binomial distribution.
        bound = 5 * float(20_000 * fraction * (1 - fraction)) ** 0.5
        assert abs(found[name] - 20_000 * fraction) < bound


def test_the_order_says_nothing_of_the_split():
    """Else every shuffled split would hold a slice of the order, and its shards be unequal."""
    division = Division(THREE, seed=7)
    places = np.array(
        [order_of(f"clip {n}", 7) / 2**64 for n in range(5000) if not division.split_of(f"clip {n}")]
    )
    counts, _ = np.histogram(places, bins=10, range=(0, 1))
    assert counts.min() > 300  # of about 400 each, five standard deviations of which are 95


def test_one_speaker_is_the_same_however_its_number_is_stored():
    values = [19, np.float32(19.0), "19", b"19"]
    assert {column_value(features(speaker=value), "speaker") for value in values} == {"19"}


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"text": "hello"}, "no feature 'speaker', which --split_by names; the record has text"),
        ({"audio": b"x"}, "the record has no other feature than its audio"),
        ({"speaker": [1, 2]}, "2 values in feature 'speaker'"),
        ({"speaker": " "}, "an empty feature 'speaker'"),
        ({"speaker": float("nan")}, "nan in feature 'speaker'"),
        ({"speaker": b"\xff"}, "bytes that are no UTF-8"),
    ],
)
def test_a_record_that_cannot_be_divided_is_a_reject_that_names_the_column(fields, detail):
    with pytest.raises(Reject) as rejected:
        column_value(features(**fields), "speaker")
    assert (rejected.value.reason, detail in rejected.value.detail) == ("bad_field", True), rejected.value
