import glob
from dataclasses import fields
from pathlib import Path

import pytest

from melbeam.transforms.folder_layout import (
    ShardName,
    SplitFolder,
    TemporaryName,
    of_all_splits,
    shard_of_file,
)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (ShardName("train", 0, 1), "train-00000-of-00001.tfrecord"),
        (ShardName("dev_2", 7, 99_999), "dev_2-00007-of-99999.tfrecord"),
        (ShardName("train", 7, 100_000), "train-000007-of-100000.tfrecord"),
        (ShardName("été", 1_000_000, 1_000_001), "été-1000000-of-1000001.tfrecord"),
    ],
)
def test_a_shards_name_is_read_as_it_is_written(name, written):
    assert str(name) == written
    assert ShardName.parse(written) == ShardName.parse(f"gs://bucket/a-b/{written}") == name


def test_shards_are_named_as_tfds_names_them():
    naming = pytest.importorskip("tensorflow_datasets.core.naming")
    for num_shards in (1, 99_999, 100_000, 1_000_000):
        template = naming.ShardedFileTemplate(data_dir="/d", split="train", filetype_suffix="tfrecord")
        template = template.replace(template="{SPLIT}-{SHARD_X_OF_Y}.{FILEFORMAT}")
        theirs = template.sharded_filepath(shard_index=num_shards - 1, num_shards=num_shards)
        assert SplitFolder("/d", "train").shard(num_shards - 1, num_shards) == str(theirs)


@pytest.mark.parametrize(
    "name",
    [
        "train-00000-of-00001.tfrecord.tmp",
        "train-0-of-1.tfrecord",
        ".train-00000-of-00001.tfrecord",
        "a.b-00000-of-00001.tfrecord",
        "train.tfrecord",
        "train-00000-of-00001",
    ],
)
def test_what_no_split_calls_its_shards_is_no_shards_name(name):
    assert ShardName.parse(name) is None


@pytest.mark.parametrize("output", ["features", "a[1]", "b*", "c?d", "[!x]", "]["])
def test_globs_find_what_the_names_say_in_a_folder_of_any_name(tmp_path, output):
    folder = SplitFolder(str(tmp_path / output), "train")
    others = [SplitFolder(str(tmp_path / name), "train") for name in ("a1", "bb", "ccd", "y")]
    for split in (folder, SplitFolder(folder.output, "dev"), *others):
        for path in (
            split.shard(3, 9),
            split.job,
            split.report(3),
            split.index(3),
            split.rejects(3),
            split.temporary(3, "ab", "features"),
            split.temporary(4, "ab", "features"),
        ):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text("")
    assert glob.glob(folder.shards_glob) == [folder.shard(3, 9)]
    assert glob.glob(folder.reports_glob) == [folder.report(3)]
    assert glob.glob(folder.index_glob) == [folder.index(3)]
    assert glob.glob(folder.rejects_glob) == [folder.rejects(3)]
    assert glob.glob(folder.temporaries_glob(3)) == [folder.temporary(3, "ab", "features")]
    assert len(glob.glob(folder.temporaries_glob())) == 2
    assert sorted(glob.glob(ShardName.glob(folder.output))) == sorted(
        SplitFolder(folder.output, split).shard(3, 9) for split in ("dev", "train")
    )
    jobs = glob.glob(of_all_splits(folder.output, "job.json"))
    assert {SplitFolder.holding(path) for path in jobs} == {folder, SplitFolder(folder.output, "dev")}


def test_what_a_name_says_is_read_back():
    folder = SplitFolder("gs://bucket/1.0.0", "dev")
    assert TemporaryName.parse(folder.temporary(7, "ab", "report")) == TemporaryName(7, "ab", "report")
    assert shard_of_file(folder.report(123456)) == 123456
    assert SplitFolder.holding(folder.job) == folder


def test_the_names_are_those_that_stand_on_disk():
    """Folders that exist stay readable: a name changes only with a reader of the old one."""
    folder = SplitFolder("f", "dev")
    names = {
        "job": "f/_melbeam/dev/job.json",
        "plan": "f/_melbeam/dev/plan.jsonl",
        "lock": "f/_melbeam/dev/lock.json",
        "schema": "f/_melbeam/dev/schema.json",
        "summary": "f/_melbeam/dev/summary.json",
    }
    assert {name: getattr(folder, name) for name in names} == names
    assert folder.shard(7, 100) == "f/dev-00007-of-00100.tfrecord"
    assert folder.report(7) == "f/_melbeam/dev/reports/00007.json"
    assert folder.rejects(7) == "f/_melbeam/dev/rejects/00007.tfrecord"
    assert folder.temporary(7, "ab", "report") == "f/_melbeam/dev/tmp/00007/ab.report"
    assert [field.name for field in fields(folder)] == ["output", "split"]


def test_the_name_of_a_table_is_that_of_its_shard():
    table = SplitFolder("o", "train").table(7, 100)
    assert ShardName.of_table(table) == ShardName("train", 7, 100)
    assert ShardName.of_table("o/train-00007-of-00100.tfrecord") is None
    assert ShardName.of_table("o/records/notes.parquet") is None
