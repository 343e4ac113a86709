"""Records one at a time and one after the other: those of FeatureSource, with an index and without one."""

import shutil

import numpy as np
import pytest

from melbeam.transforms import FeatureSource
from melbeam.transforms.reading import records
from melbeam.transforms.reading.folder import FeatureFolder
from melbeam.transforms.reading.records import FolderRecords
from melbeam.transforms.reading.storage import read_file


def opened(folder, split="train+test", **options):
    return FolderRecords(FeatureFolder.open(str(folder), split, None, read_file), **options)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("has_index", [True, False])
@pytest.mark.parametrize("read_at_once", [1, 20_000, 8 << 20])
@pytest.mark.parametrize("split", ["train+test", "train[2:5]+test[1:]"])
def test_they_are_those_of_a_source(several_shards, tmp_path, monkeypatch, has_index, read_at_once, split):
    monkeypatch.setattr(records, "_READ_AT_ONCE", read_at_once)
    expected = list(FeatureSource(several_shards, split))
    folder = tmp_path / "f"
    shutil.copytree(several_shards, folder)
    if not has_index:
        for path in folder.glob("_melbeam/*/index/*"):
            path.unlink()
    reader = opened(folder, split)
    assert len(reader) == len(expected)
    for (place, record), other in zip(reader, expected, strict=True):
        assert_same(record, other)
        assert place.path.startswith(str(folder))
    for number in reversed(range(len(expected))):
        assert_same(reader.read(number), expected[number])


def test_columns(several_shards):
    reader = opened(several_shards, features=["id"])
    assert reader.read(3) == {"id": b"clip-3"}
    with pytest.raises(ValueError, match="has no feature words"):
        opened(several_shards, features=["words"])


def test_a_block_ends_where_records_do_not_follow_each_other(several_shards, tmp_path):
    """An index may leave a gap, where a shard was mended by hand: what is read is the records, and not the gap."""
    folder = tmp_path / "f"
    shutil.copytree(several_shards, folder)
    shard, index = folder / "train-00002-of-00004.tfrecord", folder / "_melbeam/train/index/00002.npy"
    rows, data = np.load(index), shard.read_bytes()
    begin = int(rows[2]["offset"])
    shard.write_bytes(data[:begin] + b"gap" + data[begin:])
    rows["offset"][2:] += 3
    np.save(index, rows)
    found = [record["id"] for _, record in opened(folder, "train")]
    assert found == [f"clip-{n}".encode() for n in range(8)]
