"""A split's name in TFDS's words: the records that it asks for."""

import pytest

from melbeam.transforms.reading.splits import SplitRange, parse_split, part_of, shards_of

LENGTHS = {"train": (3, 0, 4, 1), "train_retried": (2,), "empty": ()}


def numbers(text, lengths=LENGTHS):
    """Names of the records: the split, and the number in it."""
    return [(part.split, n) for part in parse_split(text, lengths) for n in range(part.start, part.stop)]


def of_train(*wanted):
    return [("train", n) for n in wanted]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train", of_train(*range(8))),
        ("train[:3]", of_train(0, 1, 2)),
        ("train[5:]", of_train(5, 6, 7)),
        ("train[-2:]", of_train(6, 7)),
        ("train[:-6]", of_train(0, 1)),
        ("train[2:-5]", of_train(2)),
        ("train[:50%]", of_train(0, 1, 2, 3)),
        ("train[50%:]", of_train(4, 5, 6, 7)),
        ("train[:12.5%]", of_train(0)),
        ("train[-25%:]", of_train(6, 7)),
        ("train[:90%]", of_train(*range(7))),  # 7.2 is rounded to the closest
        ("train[1shard:3shard]", of_train(3, 4, 5, 6)),
        ("train[-1shard:]", of_train(7)),
        ("train[2shard]", of_train(3, 4, 5, 6)),
        ("train[-1shard]", of_train(7)),
        (
            "train[7:]+train_retried + train[:1]",
            [("train", 7), *(("train_retried", n) for n in (0, 1)), ("train", 0)],
        ),
        ("train[:1]+train[:1]", of_train(0, 0)),
        ("all", [*of_train(*range(8)), ("train_retried", 0), ("train_retried", 1)]),
        ("empty", []),
    ],
)
def test_what_it_asks_for(text, expected):
    assert numbers(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dev", "has no finished split 'dev'; it has train, train_retried, empty"),
        ("", "'' is no name of a split"),
        ("train+", "'' is no name of a split"),
        ("train[", r"'train\[' is no name of a split"),
        ("train[:]", r"\[:\] is no slice"),
        ("train[3]", r"\[3\] is no slice"),
        ("train[50%]", r"\[50%\] is no slice"),
        ("train[a:b]", r"\[a:b\] is no slice"),
        ("train[1:2:3]", r"\[1:2:3\] is no slice"),
        ("train[:50%", r"'train\[:50%' is no name of a split"),
        ("train[1.5:]", "only percent may have a fraction"),
        ("train[1:50%]", "both ends of a slice must have the same unit"),
        ("train[:101%]", r"percents must be in \[-100, 100\], got 101"),
        ("train[:9]", "the slice goes beyond the 8 records"),
        ("train[-9:]", "the slice goes beyond the 8 records"),
        ("train[4:4]", "the slice holds none of the 8 records"),
        ("train[5:2]", "the slice holds none of the 8 records"),
        ("train[:1%]", "the slice holds none of the 8 records"),
        ("train[9shard]", "the slice holds none of the 8 records"),
        ("all[:3]", "'all', all splits, takes no slice"),
    ],
)
def test_what_is_refused(text, expected):
    with pytest.raises(ValueError, match=expected):
        parse_split(text, LENGTHS)


def test_the_shards_that_hold_it():
    ranges = parse_split("train[2:6]+train_retried", LENGTHS)
    found = [(shard.split, shard.shard, shard.start, shard.stop) for shard in shards_of(ranges, LENGTHS)]
    assert found == [("train", 0, 2, 3), ("train", 2, 0, 3), ("train_retried", 0, 0, 2)]


@pytest.mark.parametrize("count", range(1, 13))
def test_each_record_is_in_one_part_and_the_parts_are_even(count):
    ranges = [SplitRange("a", 3, 8), SplitRange("b", 0, 0), SplitRange("a", 0, 2), SplitRange("c", 1, 4)]
    parts = [part_of(ranges, index, count) for index in range(count)]
    joined = [(part.split, n) for of_host in parts for part in of_host for n in range(part.start, part.stop)]
    assert joined == [(part.split, n) for part in ranges for n in range(part.start, part.stop)]
    sizes = [sum(map(len, part)) for part in parts]
    assert max(sizes) - min(sizes) <= 1
