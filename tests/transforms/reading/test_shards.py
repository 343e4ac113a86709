"""Features on a store in `tf.data`, by a client that reads a folder: as the local ones, whatever is asked."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from melbeam.transforms import FeatureSource, read_features
from melbeam.transforms.reading import records, storage


class Refused(Exception):
    code = 403


class NotThere(Exception):
    code = 404


class Client:
    """A store's client, whose buckets are folders of a folder; what it was asked is noted."""

    def __init__(self, folder):
        self.folder, self.asked, self.may_list = Path(folder), [], True

    def read(self, bucket, name, part):
        self.asked.append((name, part))
        try:
            data = (self.folder / bucket / name).read_bytes()
        except FileNotFoundError as error:
            raise NotThere(name) from error
        return data if part is None else data[part[0] : sum(part)]

    def list(self, bucket, prefix):
        if not self.may_list:
            raise Refused("no")
        return [prefix + path.name for path in (self.folder / bucket / prefix).iterdir() if path.is_file()]


@pytest.fixture
def store(several_shards, monkeypatch):
    """The folder `several_shards` as s3://bucket/f, in blocks of a record or two; gives its client."""
    client = Client(several_shards.parent.parent)
    fake = storage._Store(lambda: client, Client.read, Client.list, storage._STORES["s3"].grants, "aws")
    monkeypatch.setitem(storage._STORES, "s3", fake)
    monkeypatch.setattr(storage, "_clients", {})
    monkeypatch.setattr(records, "_READ_AT_ONCE", 100_000)
    client.path = f"s3://{several_shards.parent.name}/f"
    return client


def assert_same(found, expected):
    found, expected = list(found.as_numpy_iterator()), list(expected.as_numpy_iterator())
    assert len(found) == len(expected) > 0
    for ours, theirs in zip(found, expected, strict=True):
        assert set(ours) == set(theirs)
        for name in theirs:
            np.testing.assert_array_equal(ours[name], theirs[name])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_parallel_reads": 1},
        {"split": "train[1:-1]+test"},
        {"shuffle": True, "seed": 3},
        {"batch_size": 3, "mask": True},
        {"bucket_by_frames": 300},
        {"shard": (1, 3), "features": ["id", "text"]},
    ],
)
def test_the_same_as_from_a_disk(store, several_shards, options):
    found, expected = read_features(store.path, **options), read_features(several_shards, **options)
    assert found.element_spec == expected.element_spec
    assert found.cardinality() == expected.cardinality()
    assert_same(found, expected)


def test_several_records_are_asked_for_at_a_time(store):
    list(read_features(store.path))
    asked = [part for _, part in store.asked if part is not None]
    assert 1 < len(asked) < 8
    names = [name.rpartition("/")[2] for name, part in store.asked if part is None and name.endswith(".npy")]
    assert sorted(names) == sorted(set(names)) != []


def test_it_goes_on_in_the_middle_of_an_epoch(store, tmp_path):
    whole = [element["id"].numpy() for element in read_features(store.path, shuffle=True, seed=5)]
    iterator = iter(read_features(store.path, shuffle=True, seed=5))
    seen = [next(iterator)["id"].numpy() for _ in range(3)]
    path = tf.train.Checkpoint(iterator=iterator).save(tmp_path / "at")
    iterator = iter(read_features(store.path, shuffle=True, seed=5))
    tf.train.Checkpoint(iterator=iterator).restore(path)
    assert seen + [element["id"].numpy() for element in iterator] == whole


def test_what_is_missing_or_damaged_is_told(store, several_shards, tmp_path, monkeypatch):
    def changed(name, data):
        def read(client, bucket, of, part):
            if not of.endswith(name):
                return Client.read(client, bucket, of, part)
            if data is None:
                raise NotThere(of)
            return data[part[0] : sum(part)]

        grants = storage._STORES["s3"].grants
        monkeypatch.setitem(storage._STORES, "s3", storage._Store(lambda: store, read, Client.list, grants, "aws"))

    with pytest.raises(ValueError, match=r"s3://.*/g/front_end.json is missing"):
        read_features(f"{store.path[:-1]}g")
    shard = several_shards / "train-00000-of-00004.tfrecord"
    damaged = bytearray(shard.read_bytes())
    damaged[-1] ^= 1
    changed(shard.name, bytes(damaged))
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"{shard.name}, record 2 \(at byte \d+\)"):
        list(read_features(store.path))
    changed("/00000.npy", None)
    with pytest.raises(ValueError, match=r"00000.npy is missing: `melbeam index s3://"):
        read_features(store.path)
    store.may_list = False
    with pytest.raises(PermissionError, match=r"grant s3:ListBucket on s3://"):
        read_features(store.path)
    monkeypatch.setattr(Client, "list", lambda *_: [])
    store.may_list = True
    changed("nothing", b"")
    with pytest.raises(ValueError, match="3 of 3 shards are missing"):
        read_features(store.path)


@pytest.mark.parametrize("read", [read_features, FeatureSource])
def test_without_a_client_it_says_what_to_install(read, monkeypatch):
    def connect():
        raise ModuleNotFoundError("No module named 'boto3'")

    monkeypatch.setitem(storage._STORES, "s3", storage._Store(connect, None, None, {}, "aws"))
    monkeypatch.setattr(storage, "_clients", {})
    with pytest.raises(OSError, match=r"s3:// needs its client: pip install 'melbeam\[aws\]'"):
        read("s3://bucket/f")


def test_other_schemes_are_tensorflows():
    with pytest.raises(ValueError, match=r"az://bucket/f/front_end.json: local files, gs:// and s3:// are read"):
        read_features("az://bucket/f")
