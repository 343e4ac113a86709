"""Which input becomes which shard, and where it lies."""

import gzip
import io

import pytest

from melbeam.pipelines.sources.units import SourceOptions, Unit
from melbeam.pipelines.split.plan import (
    Shard,
    find_parts,
    limit_records,
    plan_hash,
    plan_shards,
    read_plan,
    read_plan_by_file,
    write_plan,
)
from melbeam.pipelines.tfrecord import TFRecordWriter

WHOLE_FILES = SourceOptions(shard_bytes=None)


def tfrecord(count):
    file = io.BytesIO()
    writer = TFRecordWriter(file)
    for number in range(count):
        writer.write(b"%d" % number)
    return file.getvalue()


@pytest.fixture
def audio(tmp_path):
    """Four files of 2, 0, 3 and 1 records; the third is GZIP."""
    for name, data in {
        "b-0": tfrecord(2),
        "b-1": b"",
        "b-2": gzip.compress(tfrecord(3)),
        "c": tfrecord(1),
    }.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def names(shards):
    return [shard.path.rsplit("/", 1)[1] for shard in shards]


def test_shards_are_the_files_by_path_whatever_the_order_of_the_globs(audio):
    shards, _ = plan_shards([f"{audio}/c", f"{audio}/b-*"], WHOLE_FILES)
    assert names(shards) == ["b-0", "b-1", "b-2", "c"]
    assert [(s.index, s.num_shards) for s in shards] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert [s.unit.size for s in shards] == [(audio / name).stat().st_size for name in names(shards)]
    assert shards == plan_shards([f"{audio}/b-*", f"{audio}/c"], WHOLE_FILES)[0]


def test_a_file_that_two_globs_name_is_one_shard(audio):
    assert names(plan_shards([f"{audio}/b-*", f"{audio}/*"], WHOLE_FILES)[0]) == ["b-0", "b-1", "b-2", "c"]


def test_a_glob_that_names_nothing_is_refused(audio):
    with pytest.raises(ValueError, match=r"--input=.*/d-\* names no file"):
        plan_shards([f"{audio}/c", f"{audio}/d-*"], WHOLE_FILES)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(1, [1]), (2, [2]), (3, [2, 0, 1]), (5, [2, 0, 3]), (6, [2, 0, 3, 1]), (99, [2, 0, 3, 1])],
)
def test_limit(audio, limit, expected):
    limited = limit_records(plan_shards([f"{audio}/*"], WHOLE_FILES)[0], limit)
    assert [shard.limit for shard in limited] == expected
    assert {shard.num_shards for shard in limited} == {len(expected)}


def test_the_file_gives_the_plan_back(audio):
    shards = limit_records(plan_shards([f"{audio}/*"], WHOLE_FILES)[0], 4)
    write_plan(f"{audio}/plan.jsonl", shards)
    assert list(read_plan(f"{audio}/plan.jsonl")) == shards
    assert not list(audio.glob("*.tmp"))


def test_names_that_json_or_lines_could_break(tmp_path):
    shards = [Shard(0, 2, Unit('/a "b"\n\u2028c', 1)), Shard(1, 2, Unit("/é", 2), 7)]
    write_plan(f"{tmp_path}/plan.jsonl", shards)
    assert list(read_plan(f"{tmp_path}/plan.jsonl")) == shards


def test_the_hash_covers_paths_sizes_limits_and_parts():
    shard = Shard(0, 1, Unit("/a", 10))
    others = [
        Shard(0, 1, Unit("/b", 10)),
        Shard(0, 1, Unit("/a", 11)),
        Shard(0, 1, Unit("/a", 10), 3),
        Shard(0, 1, Unit("/a", 10, 0, 2)),
    ]
    assert len({plan_hash([one]) for one in [shard, *others]} | {plan_hash([shard, shard])}) == 6
    assert plan_hash([shard]) == plan_hash([Shard(0, 1, Unit("/a", 10))])


def test_a_large_file_is_planned_in_parts(audio):
    (audio / "d").write_bytes(tfrecord(9))  # of 17 bytes each
    (audio / "e.gz").write_bytes(gzip.compress(tfrecord(1000)))
    shards, _ = plan_shards([f"{audio}/*"], SourceOptions(shard_bytes=60))
    assert names(shards) == ["b-0", "b-1", "b-2", "c", "d", "d", "d", "e.gz"]
    assert [(s.index, s.num_shards) for s in shards] == [(i, 8) for i in range(8)]
    assert [(s.unit.part, s.unit.num_parts, s.unit.num_bytes) for s in shards[4:7]] == [
        (0, 3, 51),
        (1, 3, 51),
        (2, 3, 51),
    ]
    assert shards[5].name == f"shard 5 of 8 (part 2 of 3 of {audio}/d)"
    write_plan(f"{audio}/plan.jsonl", shards)
    assert list(read_plan(f"{audio}/plan.jsonl")) == shards
    by_file = list(read_plan_by_file(f"{audio}/plan.jsonl"))
    assert [len(together) for together in by_file] == [1, 1, 1, 1, 3, 1]
    found = [shard for together in by_file for shard in find_parts(together, 1 << 20)]
    assert [(s.unit.span.start, s.unit.span.end, s.unit.span.number) for s in found[4:7]] == [
        (0, 51, 0),
        (51, 102, 3),
        (102, 153, 6),
    ]
    assert found[:4] + found[7:] == shards[:4] + shards[7:]
