"""What one trains with: slices, orders, buckets, masks, hosts, checkpoints; every record as often as it should."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from helpers import wav
from melbeam.pipelines import extract
from melbeam.pipelines.tfrecord import TFRecordWriter
from melbeam.transforms import FeatureSource, read_features
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.reading.buckets import num_batches
from melbeam.transforms.records.index import encode_index
from melbeam.transforms.records.tf_example import to_example

ALL = [f"clip-{n}".encode() for n in range(8)]


def ids(dataset):
    return [name for element in dataset.as_numpy_iterator() for name in np.ravel(element["id"]).tolist()]


@pytest.fixture(scope="module")
def of_lengths(tmp_path_factory, several_shards):
    """Makes a folder of features of given lengths, of four bins a frame, without computing any."""
    front_end = FrontEnd.load("gemma4").replace(name="four", num_mels=4)

    def make(lengths, num_shards=3, with_index=True):
        folder = tmp_path_factory.mktemp("lengths")
        described = {
            name: json.loads((several_shards / f"{name}.json").read_text())
            for name in ("front_end", "dataset_info", "features")
        }
        described["front_end"]["front_end"] = front_end.to_dict()
        kept = {"id", "num_frames", "input_features"}
        features = described["features"]["featuresDict"]["features"]
        for name in set(features) - kept:
            del features[name]
        features["input_features"]["tensor"]["shape"]["dimensions"][1] = "4"
        parts = [lengths[shard::num_shards] for shard in range(num_shards)]
        (split,) = [s for s in described["dataset_info"]["splits"] if s["name"] == "train"]
        split["shardLengths"] = [str(len(part)) for part in parts]
        described["dataset_info"]["splits"] = [split]
        for name, content in described.items():
            (folder / f"{name}.json").write_text(json.dumps(content))
        layout = SplitFolder(str(folder), "train")
        for shard, part in enumerate(parts):
            rows = []
            with open(layout.shard(shard, num_shards), "wb") as file:
                writer = TFRecordWriter(file)
                for number, frames in enumerate(part):
                    tensor = np.full((frames, 4), frames, np.float32).tobytes()
                    name = f"{shard}-{number}"
                    record = to_example({"id": name, "num_frames": [int(frames)], "input_features": tensor})
                    rows.append((writer.num_bytes, len(record), frames))
                    writer.write(record)
            if with_index:
                (folder / "_melbeam/train/index").mkdir(parents=True, exist_ok=True)
                (folder / f"_melbeam/train/index/{shard:05d}.npy").write_bytes(encode_index(rows))
        return folder, front_end

    return make


# ---------------------------------------------------------------------------------------------------- slices


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train[2:4]", ALL[2:4]),
        ("train[:50%]+train[50%:]", ALL),
        ("train[-1:]+train[:1]", [ALL[-1], ALL[0]]),
        ("train+train", ALL * 2),
        ("train[2shard]", ALL[3:7]),
    ],
)
def test_slices(several_shards, split, expected):
    for reads in (None, 1):
        dataset = read_features(several_shards, split, num_parallel_reads=reads)
        assert ids(dataset) == expected
        assert dataset.cardinality() == len(expected)
    assert [element["id"] for element in FeatureSource(several_shards, split)] == expected
    assert FeatureSource(several_shards, split).num_frames.tolist() == [
        FeatureSource(several_shards)[ALL.index(name)]["num_frames"] for name in expected
    ]


def test_a_slice_that_is_none_is_refused(several_shards):
    with pytest.raises(ValueError, match=r"the slice goes beyond the 8 records"):
        read_features(several_shards, "train[:9]")


@pytest.mark.slow
@pytest.mark.parametrize("count", [97, 100, 101, 200])
def test_slices_are_those_of_tfds(of_lengths, count):
    tfds = pytest.importorskip("tensorflow_datasets")
    folder, front_end = of_lengths([1] * count, num_shards=7)
    builder = tfds.builder_from_directory(folder)
    config = tfds.ReadConfig(interleave_cycle_length=1)
    boundaries = ["", "3", "-3", "50%", "33%", "66.6%", "-12.5%", "99%", "2shard", "-2shard"]
    specs = ["train", "train[3shard]", "train[-1shard]", "train[:7]+train[50%:]+train[-1:]", "all"]
    specs += [
        f"train[{start}:{stop}]"
        for start in boundaries
        for stop in boundaries
        if (start or stop) and len({bound.strip("-.0123456789") for bound in (start, stop) if bound}) == 1
    ]
    compared = 0
    for spec in specs:
        try:
            expected = ids(builder.as_dataset(spec, read_config=config))
        except (ValueError, AssertionError, tf.errors.FailedPreconditionError):
            expected = []  # TFDS takes a slice that ends before it begins, and fails when it is read
        if expected:
            compared += 1
            assert ids(read_features(folder, spec, front_end)) == expected, spec
        else:
            with pytest.raises(ValueError, match="slice"):
                read_features(folder, spec, front_end)
    assert compared > 25


# ------------------------------------------------------------------------------------------------------ orders


def test_shuffled_by_seed(several_shards):
    def orders(**options):
        dataset = read_features(several_shards, shuffle=True, **options)
        assert dataset.cardinality() == 8
        return [ids(dataset) for _ in range(4)]

    first = orders(seed=3)
    assert all(sorted(order) == ALL for order in first)
    assert len({tuple(order) for order in first}) > 1
    assert orders(seed=3) == first
    assert orders(seed=4) != first
    same = orders(seed=3, reshuffle_each_iteration=False)
    assert same == [same[0]] * 4
    assert same[0] != ALL
    assert len({tuple(order) for order in orders()}) > 1


def test_the_buffer_may_be_given(several_shards):
    # With a buffer of one record, only the shards are shuffled and read in turn.
    dataset = read_features(several_shards, shuffle=1, seed=1, num_parallel_reads=1)
    order = ids(dataset)
    assert sorted(order) == ALL
    assert any(order[i : i + 3] == ALL[:3] for i in range(6))
    with pytest.raises(ValueError, match=r"shuffle, .* must be at least 1 records, got 0"):
        read_features(several_shards, shuffle=0)
    with pytest.raises(ValueError, match="seed must be a whole number"):
        read_features(several_shards, shuffle=True, seed="1")


# ------------------------------------------------------------------------------------------------------- hosts


@pytest.mark.parametrize("count", range(1, 8))
def test_every_record_is_that_of_one_host(several_shards, count):
    for options in ({}, {"shuffle": True, "seed": 5}):
        hosts = [read_features(several_shards, "train+test", shard=(i, count), **options) for i in range(count)]
        assert [int(host.cardinality()) for host in hosts] == [len(ids(host)) for host in hosts]
        expected = sorted(ids(read_features(several_shards, "train+test")))
        assert sorted(name for host in hosts for name in ids(host)) == expected


def test_more_hosts_than_records(several_shards):
    hosts = [read_features(several_shards, "train[:2]", shard=(i, 3), batch_size=2) for i in range(3)]
    assert [ids(host) for host in hosts] == [[], ALL[:1], ALL[1:2]]


def test_input_context_says_the_same(several_shards):
    context = tf.distribute.InputContext(num_input_pipelines=3, input_pipeline_id=1)
    assert ids(read_features(several_shards, input_context=context)) == ids(
        read_features(several_shards, shard=(1, 3))
    )
    with pytest.raises(ValueError, match="shard and input_context say the same"):
        read_features(several_shards, shard=(1, 3), input_context=context)


@pytest.mark.parametrize("shard", [(3, 3), (-1, 3), (0, 0), (0.5, 2), 3, (1, 2, 3)])
def test_no_such_host(several_shards, shard):
    with pytest.raises(ValueError, match="shard"):
        read_features(several_shards, shard=shard)


# ----------------------------------------------------------------------------------------- buckets and masks


def log_normal_lengths(count, seed=1):
    """Frames of clips whose seconds are log-normal, between 1 and 30."""
    random = np.random.default_rng(seed)
    seconds = random.lognormal(np.log(6), 0.7, 4 * count)
    return (100 * seconds[(seconds >= 1) & (seconds <= 30)][:count]).astype(int)


@pytest.mark.slow
def test_buckets_fill_batches_with_little_padding(of_lengths):
    lengths = log_normal_lengths(10_000)
    assert len(lengths) == 10_000
    folder, front_end = of_lengths(lengths)
    for options in ({}, {"shuffle": True, "seed": 2}):
        dataset = read_features(folder, front_end=front_end, bucket_by_frames=12_000, mask=True, **options)
        padded = valid = batches = 0
        seen = []
        for batch in dataset.as_numpy_iterator():
            size, frames = batch["input_features"].shape[:2]
            assert size * frames <= 12_000
            assert frames == batch["num_frames"].max()
            mask = batch["input_features_mask"]
            np.testing.assert_array_equal(mask.sum(axis=1), batch["num_frames"])
            values = batch["num_frames"][:, None, None] * mask[..., None]
            np.testing.assert_array_equal(batch["input_features"], np.broadcast_to(values, (size, frames, 4)))
            padded, valid, batches = padded + size * frames, valid + batch["num_frames"].sum(), batches + 1
            seen += batch["id"].tolist()
        assert len(set(seen)) == len(seen) == 10_000
        assert batches == dataset.cardinality()
        assert 1 - valid / padded <= 0.1


@pytest.mark.parametrize("drop_remainder", [False, True])
def test_the_number_of_bucketed_batches_is_known(of_lengths, drop_remainder):
    lengths = log_normal_lengths(120, seed=3)
    folder, front_end = of_lengths(lengths)
    options = {"front_end": front_end, "bucket_by_frames": 3000, "drop_remainder": drop_remainder}
    dataset = read_features(folder, "train[10%:90%]", shuffle=True, **options)
    assert dataset.cardinality() == len(list(dataset)) == len(list(dataset)) > 0
    source = FeatureSource(folder)
    whole = read_features(folder, **options)
    assert whole.cardinality() == num_batches(source.num_frames, 3000, drop_remainder=drop_remainder)
    without, _ = of_lengths(lengths, with_index=False)
    assert read_features(without, **options).cardinality() == tf.data.UNKNOWN_CARDINALITY
    assert len(list(read_features(without, **options))) == whole.cardinality()


def test_a_clip_that_fits_no_batch_is_told(of_lengths):
    for with_index, error in ((True, ValueError), (False, tf.errors.InvalidArgumentError)):
        folder, front_end = of_lengths([50, 120, 80], with_index=with_index)
        with pytest.raises(error, match="bucket_by_frames=100: raise it"):
            list(read_features(folder, front_end=front_end, bucket_by_frames=100))
        assert len(ids(read_features(folder, front_end=front_end, bucket_by_frames=120))) == 3


def test_masks(several_shards):
    (batch,) = read_features(several_shards, batch_size=8, mask=True)
    assert batch["input_features_mask"].dtype == tf.bool
    assert batch["input_features_mask"].shape == batch["input_features"].shape[:2]
    valid = tf.reduce_sum(tf.cast(batch["input_features_mask"], tf.int64), axis=1)
    np.testing.assert_array_equal(valid, batch["num_frames"])
    assert not batch["input_features"].numpy()[~batch["input_features_mask"].numpy()].any()
    for clip in read_features(several_shards, mask=True, features=["input_features"]):
        assert set(clip) == {"input_features", "input_features_mask"}
        assert clip["input_features_mask"].numpy().all()
        assert len(clip["input_features_mask"]) == len(clip["input_features"])


def test_a_column_that_is_called_as_the_mask(tmp_path, write_audio):
    name = "input_features_mask"
    write_audio(tmp_path / "audio", [{"audio": wav(1), "id": "a", name: 7}])
    assert extract.main([f"--input={tmp_path}/audio", f"--output={tmp_path}/f"]) == 0
    (clip,) = read_features(tmp_path / "f")
    assert clip[name] == 7
    with pytest.raises(ValueError, match=f"records have {name} already, which is made here: read without it"):
        read_features(tmp_path / "f", mask=True)
    (clip,) = read_features(tmp_path / "f", mask=True, features=["input_features", "id"])
    assert clip[name].numpy().all()


def test_what_contradicts_is_refused(several_shards, tmp_path):
    with pytest.raises(ValueError, match="batch_size=2 and bucket_by_frames=5000 exclude each other"):
        read_features(several_shards, batch_size=2, bucket_by_frames=5000)
    for options in ({"mask": True}, {"bucket_by_frames": 5000}):
        (name,) = options
        with pytest.raises(ValueError, match=f"{name}: the model of front end 'whisper' takes every clip at 3000"):
            read_features(several_shards, front_end="whisper", **options)
        with pytest.raises(ValueError, match=f"{name} needs 'input_features' among"):
            read_features(several_shards, features=["id"], **options)
    with pytest.raises(ValueError, match="features must be a list of names, got 'id'"):
        read_features(several_shards, features="id")


# ------------------------------------------------------------------------------------------------- checkpoints


@pytest.mark.parametrize(
    "options",
    [{}, {"batch_size": 2}, {"shuffle": True, "seed": 1}, {"bucket_by_frames": 200, "shuffle": True, "seed": 1}],
    ids=str,
)
def test_reading_goes_on_in_the_middle_of_an_epoch(several_shards, tmp_path, options):
    dataset = read_features(several_shards, mask=True, **options)
    iterator = iter(dataset)
    before = [next(iterator) for _ in range(2)]
    path = tf.train.Checkpoint(iterator=iterator).save(f"{tmp_path}/checkpoint")
    rest = [np.ravel(element["id"]).tolist() for element in iterator]
    assert rest
    again = iter(read_features(several_shards, mask=True, **options))
    tf.train.Checkpoint(iterator=again).restore(path)
    assert [np.ravel(element["id"]).tolist() for element in again] == rest
    seen = [np.ravel(element["id"]).tolist() for element in before] + rest
    assert sorted(name for names in seen for name in names) == ALL


def test_records_that_the_metadata_do_not_know_are_an_error(several_shards, tmp_path):
    folder = tmp_path / "f"
    shutil.copytree(several_shards, folder)
    shard = folder / "train-00002-of-00004.tfrecord"
    rows = np.load(folder / "_melbeam/train/index/00002.npy")
    shard.write_bytes(shard.read_bytes()[: int(rows[3]["offset"])])  # cut between two records
    with pytest.raises(tf.errors.FailedPreconditionError, match="expected to contain 8 elements"):
        list(read_features(folder))
