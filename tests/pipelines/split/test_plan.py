"""Which input becomes which shard, and where it lies."""

import gzip
import hashlib
import io
import json
from dataclasses import replace

import pytest

from melbeam.pipelines.sources import planning
from melbeam.pipelines.sources.units import AudioRecord, Damage, SourceOptions, Unit
from melbeam.pipelines.split.plan import (
    InputChanged,
    Shard,
    find_parts,
    limit_records,
    plan_hash,
    plan_shards,
    read_plan,
    read_plan_by_file,
    write_plan,
)
from melbeam.pipelines.tfrecord import Span, TFRecordWriter

# `plan_hash` of the three shards in the test below.
GOLDEN = "bc4f2f1e62159ef1c4d18ea237d43279027906e176bcb217e79ee253327c2b0b"
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


@pytest.mark.parametrize("num_records_now", [1, 3])
@pytest.mark.parametrize("num_read_before", [0, 1])
def test_a_file_that_is_written_while_the_job_runs_fails_it(audio, num_records_now, num_read_before):
    """Cut at the end of a record, it would be a whole file of fewer records, and nothing would ever tell."""
    ((shard,), _) = plan_shards([f"{audio}/b-0"], WHOLE_FILES)
    records = shard.read(1 << 20)
    read = [next(records) for _ in range(num_read_before)]
    (audio / "b-0").write_bytes(tfrecord(num_records_now))
    size = len(tfrecord(num_records_now))
    with pytest.raises(InputChanged, match=f"b-0 had {shard.unit.size} bytes when .*, and has {size} now"):
        list(records)
    (audio / "b-0").write_bytes(tfrecord(2))
    assert len([*shard.read(1 << 20)]) == 2 > len(read)


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


DETAILED = Unit(
    "/m.jsonl",
    100,
    1,
    3,
    kind="manifest",
    span=Span(10, None, 4),
    num_records=7,
    details={"columns": {"audio": "path"}, "sha256": "é"},
)


def test_the_file_gives_units_of_other_sources_back(tmp_path):
    shards = [Shard(0, 3, DETAILED, 5), Shard(1, 3, DETAILED), Shard(2, 3, Unit("/t", 9, details={"a": [1]}), 0)]
    write_plan(f"{tmp_path}/plan.jsonl", shards)
    assert list(read_plan(f"{tmp_path}/plan.jsonl")) == shards


def test_the_hash_is_what_it_was():
    """It is in every job.json that was ever written: another one, and none of these jobs could be resumed."""
    detailed = Shard(2, 3, DETAILED, 5)
    assert plan_hash([]) == "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"
    assert plan_hash([Shard(0, 3, Unit("/a", 10)), Shard(1, 3, Unit("/b", 11, 1, 2), 3), detailed]) == GOLDEN
    lines = [["/a", 10, None], ["/b", 11, 3, 1, 2], {**DETAILED.to_json(), "limit": 5}]
    assert hashlib.sha256(json.dumps(lines).encode()).hexdigest() == GOLDEN


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[]",
        "[1, 2, 3]",
        "7",
        '"abc"',
        "{",
        json.dumps(["/a", 10]),
        json.dumps({**DETAILED.to_json(), "limit": None, "path": 7}),
        json.dumps({**DETAILED.to_json(), "limit": None, "details": [1]}),
        json.dumps({**DETAILED.to_json(), "limit": None, "part": 1}),
        json.dumps(DETAILED.to_json()),
    ],
)
def test_a_line_that_is_none_of_a_plan(tmp_path, line):
    (tmp_path / "plan.jsonl").write_text('["/a", 10, null]\n' + line + "\n")
    with pytest.raises(ValueError, match=r"line 2 of .*/plan.jsonl is not a line of a plan: "):
        list(read_plan(f"{tmp_path}/plan.jsonl"))


def test_a_shard_yields_its_records_up_to_its_limit_and_as_jobs_take_them(audio, monkeypatch):
    path = audio / "b-0"
    path.write_bytes(path.read_bytes() + b"damaged" + tfrecord(2))
    unit = Unit(str(path), path.stat().st_size)
    every = list(Shard(0, 1, unit).read(1 << 20))
    assert [type(item) for item in every] == [AudioRecord, AudioRecord, Damage, AudioRecord, AudioRecord]
    for limit in range(7):
        read = list(Shard(0, 1, unit, limit).read(1 << 20))
        assert [item.number for item in read] == list(range(min(limit, 5)))
    said = replace(every[0], segments='[[0, 1, "a"]]')
    monkeypatch.setattr(planning, "read_unit", lambda unit, max_record_bytes: iter([said]))
    assert list(Shard(0, 1, unit).read(1 << 20)) == [said.whole] != [said]


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
