"""Features that a job wrote, as tf.data: every clip, in order, with one type a field; full lengths restored."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from helpers import encode, write
from melbeam.pipelines import extract, retry_rejects, verify
from melbeam.transforms import AudioConverter, FeatureSource, FrontEnd, read_features
from melbeam.transforms.records.tf_example import to_example

FOLDER_OF_VERSION_1 = Path(__file__).parents[2] / "data" / "folder_of_version_1"


@pytest.fixture(scope="module")
def clips():
    random = np.random.default_rng(12)
    return [(3000 * random.standard_normal(n)).astype("int16") for n in (16000, 8000, 12345, 4000, 9999)]


def record_of(clip, **others):
    return to_example({"audio": clip, "sampling_rate": 16000, **others})


@pytest.fixture(scope="module")
def written(tmp_path_factory, clips):
    """A folder of the clips' features, in two shards."""
    folder = tmp_path_factory.mktemp("tf_data")
    for shard, indices in enumerate(((0, 1, 2), (3, 4))):
        records = [{"audio": encode(clips[i]), "id": f"clip-{i}", "speaker": f"s{i}"} for i in indices]
        write(folder / f"audio-{shard}", [to_example(record) for record in records])
    status = extract.main([f"--input={folder}/audio-*", f"--output={folder}/features"])
    assert status == 0
    return folder / "features"


def test_reading_gives_every_clip_in_order(written, clips):
    converter = AudioConverter("gemma4", pad_to_max_length=False)
    elements = list(read_features(written))
    assert [element["id"].numpy().decode() for element in elements] == [f"clip-{i}" for i in range(5)]
    for i, (element, clip) in enumerate(zip(elements, clips, strict=True)):
        np.testing.assert_allclose(element["input_features"], converter(clip), rtol=0, atol=1e-6)
        assert element["num_frames"].numpy() == len(element["input_features"])
        assert element["num_samples"].numpy() == len(clip)
        assert element["speaker"].numpy() == f"s{i}".encode()


def test_batches_are_zero_past_each_clip(written):
    singles = list(read_features(written))
    batches = list(read_features(written, batch_size=2))
    assert [len(batch["id"]) for batch in batches] == [2, 2, 1]
    for batch, pair in zip(batches, (singles[:2], singles[2:4], singles[4:]), strict=True):
        for row, frames, single in zip(batch["input_features"], batch["num_frames"], pair, strict=True):
            np.testing.assert_array_equal(row[:frames], single["input_features"])
            assert not row[frames:].numpy().any()
    assert len(list(read_features(written, batch_size=2, drop_remainder=True))) == 2


def test_what_reading_refuses(written, tmp_path):
    with pytest.raises(ValueError, match=r"holds features of front end 'gemma4' .* not of 'whisper'.*num_mels"):
        read_features(written, front_end="whisper")
    with pytest.raises(ValueError, match="no finished split 'test'; it has train"):
        read_features(written, split="test")
    with pytest.raises(ValueError, match=r"front_end.json is missing"):
        read_features(tmp_path)
    shard = written / "train-00001-of-00002.tfrecord"
    moved = shard.rename(tmp_path / "moved")
    try:
        with pytest.raises(ValueError, match=r"1 of 2 shards are missing, the first is .*train-00001-of-00002"):
            read_features(written)
    finally:
        moved.rename(shard)


def test_files_read_ahead_keep_their_order(tmp_path, clips):
    for shard in range(7):
        write(
            tmp_path / f"audio-{shard}", [record_of(clips[3], id=f"{shard}-{i}") for i in range(3 * (shard % 3))]
        )
    assert extract.main([f"--input={tmp_path}/audio-*", f"--output={tmp_path}/f"]) == 0
    expected = [f"{shard}-{i}".encode() for shard in range(7) for i in range(3 * (shard % 3))]
    for num_parallel_reads in (1, 2, None):
        dataset = read_features(tmp_path / "f", num_parallel_reads=num_parallel_reads)
        assert [element["id"].numpy() for element in dataset] == expected


def test_columns(written):
    dataset = read_features(written, features=["id", "speaker"])
    assert set(dataset.element_spec) == {"id", "speaker"}
    assert [element["speaker"].numpy() for element in dataset] == [f"s{i}".encode() for i in range(5)]
    batched = read_features(written, features=["input_features"], batch_size=2)
    assert set(batched.element_spec) == {"input_features"}
    whole = read_features(written, batch_size=2)
    for some, every in zip(batched, whole, strict=True):
        np.testing.assert_array_equal(some["input_features"], every["input_features"])
    with pytest.raises(ValueError, match=r"has no feature speakers; it has input_features, .*speaker"):
        read_features(written, features=["speakers"])


@pytest.mark.parametrize("value", [0, -1, True, 2.0, "4"])
@pytest.mark.parametrize("name", ["batch_size", "num_parallel_reads"])
def test_absurd_numbers_are_refused_by_name(written, name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, or None, got {value!r}"):
        read_features(written, **{name: value})


def test_numbers_of_numpy_are_numbers(written):
    options = {"batch_size": np.int64(2), "num_parallel_reads": np.int32(2), "shuffle": np.bool_(True), "seed": 1}
    found, expected = (
        list(read_features(written, **given).as_numpy_iterator())
        for given in (options, {"batch_size": 2, "num_parallel_reads": 2, "shuffle": True, "seed": 1})
    )
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours["id"], theirs["id"])


@pytest.mark.parametrize("name", ["drop_remainder", "reshuffle_each_iteration", "mask"])
def test_what_is_neither_true_nor_false_is_refused(written, name):
    with pytest.raises(ValueError, match=f"{name} must be True or False, got 'no'"):
        read_features(written, **{name: "no"})


# ------------------------------------------------------------------- what some record lacks, and mixed types


@pytest.fixture(scope="module")
def with_lacking(tmp_path_factory, clips):
    """A folder of two splits: some records lack a field, a clip is retried in chunks."""
    folder = tmp_path_factory.mktemp("lacking")
    front_end = FrontEnd.load("gemma4").replace(name="short", max_audio_length=0.7)
    (folder / "short.yaml").write_text(front_end.to_yaml())
    records = [
        record_of(clips[1], id="whole", text="hello", speaker=7, gain=0.5, tags=["a", "b"]),
        record_of(clips[3], id="bare"),
        record_of(clips[0], id="long", text="a long one", tags=["c"]),
    ]
    write(folder / "audio", records)
    assert (
        extract.main([f"--input={folder}/audio", f"--output={folder}/f", f"--front_end={folder}/short.yaml"]) == 3
    )
    assert retry_rejects.main([f"{folder}/f", "--on_long=chunk"]) == 0
    return folder / "f"


LEAST = {"int64": np.iinfo(np.int64).min, "float32": np.finfo(np.float32).min}


def test_what_a_record_lacks_is_a_scalar_at_tfdss_default(with_lacking):
    whole, bare = read_features(with_lacking).as_numpy_iterator()
    assert (whole["text"], whole["speaker"], whole["gain"]) == (b"hello", 7, 0.5)
    assert (bare["text"], bare["speaker"], bare["gain"]) == (b"", LEAST["int64"], LEAST["float32"])
    assert (whole["tags"].tolist(), bare["tags"].tolist()) == ([b"a", b"b"], [])
    assert whole["chunk_index"] == bare["chunk_index"] == LEAST["int64"]  # which only the other split has


def test_splits_are_read_one_behind_the_other(with_lacking):
    elements = list(read_features(with_lacking, split="train+train_retried").as_numpy_iterator())
    assert [element["id"] for element in elements] == [b"whole", b"bare", b"long#0", b"long#1"]
    assert [element["chunk_index"] for element in elements] == [*[LEAST["int64"]] * 2, 0, 1]
    assert [element["text_is_of_whole_clip"] for element in elements] == [*[LEAST["int64"]] * 2, 1, 1]
    assert {name: np.shape(value) for name, value in elements[0].items() if name != "input_features"} == {
        name: (2,) if name == "tags" else () for name in elements[0] if name != "input_features"
    }
    with pytest.raises(ValueError, match="has no finished split 'test'"):
        read_features(with_lacking, split="train+test")


@pytest.mark.slow
def test_tfds_gives_the_same(with_lacking):
    import tensorflow_datasets as tfds

    for split in ("train", "train_retried", "train+train_retried"):
        theirs = tfds.builder_from_directory(str(with_lacking)).as_dataset(split=split)
        ours = list(read_features(with_lacking, split=split).as_numpy_iterator())
        for one, other in zip(ours, theirs.as_numpy_iterator(), strict=True):
            assert set(one) == set(other)
            for name in one:
                np.testing.assert_array_equal(one[name], other[name], name)


def test_a_mixed_type_is_told_and_the_rest_is_read(tmp_path, clips):
    records = [record_of(clips[3], id=f"r{i}", text=i if i == 2 else "word", speaker=i) for i in range(4)]
    write(tmp_path / "audio", records)
    assert extract.main([f"--input={tmp_path}/audio", f"--output={tmp_path}/f"]) == 0
    kinds = r"3 bytes_list \(id r0, r1, r3\), 1 int64_list \(id r2\)"
    told = rf"'text' has not one type in all records: {kinds}\. .*features="
    with pytest.raises(ValueError, match=told) as error:
        read_features(tmp_path / "f")
    columns = eval(str(error.value).rpartition("features=")[2])  # as it says
    read = list(read_features(tmp_path / "f", features=columns).as_numpy_iterator())
    assert [(element["id"], element["speaker"]) for element in read] == [(b"r%d" % i, i) for i in range(4)]


def test_a_type_that_differs_between_splits_is_read_split_by_split(tmp_path, clips):
    for split, text in (("train", "word"), ("test", 7)):
        write(tmp_path / split, [record_of(clips[3], id="a", text=text)])
        assert extract.main([f"--input={tmp_path}/{split}", f"--output={tmp_path}/f", f"--split={split}"]) == 0
    assert next(iter(read_features(tmp_path / "f", split="train")))["text"].numpy() == b"word"
    assert next(iter(read_features(tmp_path / "f", split="test")))["text"].numpy() == 7
    with pytest.raises(ValueError, match="'text' has not one type"):
        read_features(tmp_path / "f", split="train+test")


# ------------------------------------------------------------------------------------------- full lengths


@pytest.mark.parametrize("encoding", ["bytes", "float_list"])
@pytest.mark.parametrize("padded", ["auto", "off"])
def test_whispers_clips_have_their_full_length_and_its_silence(tmp_path, clips, encoding, padded):
    loud = np.resize(clips[0] * 5, 479_900)  # whose last frames reach to the end of the 30 s
    quiet = (clips[1] // 50).astype(np.int16)
    records = [record_of(clip, id=str(i)) for i, clip in enumerate((clips[0], loud, quiet))]
    write(tmp_path / "audio", records)
    options = ["--front_end=whisper", f"--encoding={encoding}", f"--pad_to_max_length={padded}"]
    assert extract.main([f"--input={tmp_path}/audio", f"--output={tmp_path}/f", *options]) == 0
    expected = [AudioConverter("whisper")(clip).numpy() for clip in (clips[0], loud, quiet)]
    for element, features in zip(read_features(tmp_path / "f", front_end="whisper"), expected, strict=True):
        np.testing.assert_array_equal(element["input_features"], features)
    (batch,) = read_features(tmp_path / "f", front_end="whisper", batch_size=3)
    np.testing.assert_array_equal(batch["input_features"], expected)
    assert batch["num_frames"].numpy().tolist() == [100, 3000, 50]
    described = json.loads((tmp_path / "f/dataset_info.json").read_text())["description"]
    assert ("stored compact" in described) == (padded == "off")


@pytest.mark.parametrize("front_end", ["gemma4", "whisper"])
def test_lists_of_unequal_length_are_padded_in_batches_whatever_the_model_takes(tmp_path, clips, front_end):
    records = [
        record_of(clips[0], tags=["a", "b"], times=[1.5]),
        record_of(clips[1]),
        record_of(clips[2], tags=["c"]),
    ]
    write(tmp_path / "audio", records)
    assert extract.main([f"--input={tmp_path}/audio", f"--output={tmp_path}/f", f"--front_end={front_end}"]) == 0
    (batch,) = read_features(tmp_path / "f", front_end=front_end, batch_size=3)
    assert batch["tags"].numpy().tolist() == [[b"a", b"b"], [b"", b""], [b"c", b""]]
    for row, clip in enumerate(read_features(tmp_path / "f", front_end=front_end)):
        frames = len(clip["input_features"])
        np.testing.assert_array_equal(batch["input_features"][row, :frames], clip["input_features"])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_full_length_is_restored_in_smaller_dtypes(tmp_path, clips, dtype):
    write(tmp_path / "audio", [record_of(clips[2])])
    options = ["--front_end=whisper_large_v3", f"--dtype={dtype}"]
    for padded in ("on", "off"):
        command = [f"--input={tmp_path}/audio", f"--output={tmp_path}/{padded}", f"--pad_to_max_length={padded}"]
        assert extract.main([*command, *options]) == 0
    compact, whole = (next(iter(read_features(tmp_path / p, front_end="whisper_large_v3"))) for p in ("off", "on"))
    assert compact["input_features"].shape == (3000, 128)
    np.testing.assert_array_equal(compact["input_features"], whole["input_features"])
    sizes = [sum(p.stat().st_size for p in (tmp_path / padded).glob("train-*")) for padded in ("off", "on")]
    assert sizes[0] < sizes[1] / 20  # 77 of 3000 rows, and a few of silence


def test_a_masked_models_padded_clips_are_zeroed_in_batches_only(tmp_path, clips):
    write(tmp_path / "audio", [record_of(clips[0], id="a"), record_of(clips[3], id="b")])
    command = [f"--input={tmp_path}/audio", f"--output={tmp_path}/f", "--pad_to_max_length"]
    assert extract.main(command) == 0
    first = next(iter(read_features(tmp_path / "f")))
    np.testing.assert_array_equal(first["input_features"], AudioConverter("gemma4")(clips[0]))
    (batch,) = read_features(tmp_path / "f", batch_size=2)
    assert batch["input_features"].shape == (2, 3000, 128)
    assert not batch["input_features"][1, int(batch["num_frames"][1]) :].numpy().any()


def test_clips_that_nothing_restores_are_refused(tmp_path, clips):
    """As they were stored before there was a tail: the rows behind a clip still hear its end."""
    write(tmp_path / "audio", [record_of(clips[0])])
    command = [f"--input={tmp_path}/audio", f"--output={tmp_path}/f", "--front_end=whisper"]
    assert extract.main([*command, "--pad_to_max_length=off"]) == 0
    for name in ("features.json", "_melbeam/train/schema.json"):
        path = tmp_path / "f" / name
        content = json.loads(path.read_text())
        fields = content.get("fields") or content["featuresDict"]["features"]
        del fields["input_features_tail"]
        path.write_text(json.dumps(content))
    with pytest.raises(tf.errors.InvalidArgumentError, match="holds clips without what lies behind them"):
        list(read_features(tmp_path / "f", front_end="whisper", batch_size=1))


@pytest.mark.parametrize("padded", ["on", "off"])
def test_clips_longer_than_the_folders_front_end_takes_are_told(tmp_path, clips, padded):
    """As of a split of another max_audio_length, which could once join a folder."""
    write(tmp_path / "audio", [record_of(clips[0])])
    command = [f"--input={tmp_path}/audio", f"--output={tmp_path}/f", "--front_end=whisper"]
    assert extract.main([*command, f"--pad_to_max_length={padded}"]) == 0
    shorter = FrontEnd.load("whisper").replace(max_audio_length=0.5)
    path = tmp_path / "f/front_end.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "front_end": shorter.to_dict()}))
    with pytest.raises(tf.errors.InvalidArgumentError, match="holds clips of more frames than the model"):
        list(read_features(tmp_path / "f", front_end=shorter))
    with pytest.raises(ValueError, match="holds clips of more frames than the model"):
        FeatureSource(tmp_path / "f")[0]


def test_a_compact_split_is_told_of_whatever_split_comes_after_it(tmp_path, clips):
    write(tmp_path / "audio", [record_of(clips[0])])
    command = [f"--input={tmp_path}/audio", f"--output={tmp_path}/f", "--front_end=whisper"]
    assert extract.main([*command, "--pad_to_max_length=off"]) == 0
    assert extract.main([*command, "--split=test"]) == 0
    described = json.loads((tmp_path / "f/dataset_info.json").read_text())["description"]
    assert "stored compact" in described
    assert verify.main([f"{tmp_path}/f"]) == 0


# --------------------------------------------------------------------------------- folders of version 1


def test_an_older_folder_is_read_and_what_it_lacks_is_told(caplog):
    elements = list(read_features(FOLDER_OF_VERSION_1).as_numpy_iterator())
    assert [element["id"] for element in elements] == [b"a", b"c", b"b"]
    assert [element["text"].tolist() for element in elements] == [[b"one"], [], [b"two"]]  # a list, as it was
    assert [element["input_features"].dtype.name for element in elements] == ["bfloat16"] * 3
    lacks = (
        "it was written with record version 1: it has no levels and no schema of its splits, and an index only "
        "where `melbeam index` wrote one"
    )
    assert [record.message for record in caplog.records] == [f"{FOLDER_OF_VERSION_1}: {lacks}"]


def test_a_new_split_joins_an_older_folder(tmp_path, clips):
    folder = tmp_path / "f"
    shutil.copytree(FOLDER_OF_VERSION_1, folder)
    write(tmp_path / "audio", [record_of(clips[3], id="new", text="three")])
    command = [f"--input={tmp_path}/audio", f"--output={folder}", "--split=more", "--dtype=bfloat16"]
    assert extract.main(command) == 0
    elements = list(read_features(folder, split="train+train_retried+more").as_numpy_iterator())
    assert [e["id"] for e in elements] == [b"a", b"c", b"b", b"long#0", b"long#1", b"long#2", b"new"]
    assert [e["rms_dbfs"] > -100 for e in elements] == [False] * 6 + [True]
    # The metadata is written anew, so what was a list because a record lacked it is an optional scalar now.
    assert [e["text"] for e in elements] == [b"one", b"", b"two", *[b"a longer one"] * 3, b"three"]
