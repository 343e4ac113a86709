"""Features by number, as NumPy arrays: the values of `read_features`, without TensorFlow."""

import json
import multiprocessing
import pickle
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from helpers import compress_features, run, write
from melbeam.pipelines import extract, index, report, show
from melbeam.pipelines.tfrecord import read_tfrecord_file
from melbeam.transforms import FeatureSource, FrontEnd, read_features
from melbeam.transforms.reading import storage
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.schema import RECORD_VERSION

FOLDER_OF_VERSION_1 = Path(__file__).parents[2] / "data" / "folder_of_version_1"


def assert_equal_elements(found, expected):
    """Equal names, values, dtypes and shapes."""
    found, expected = list(found), list(expected)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert set(ours) == set(theirs)
        for name, value in theirs.items():
            assert type(ours[name]) is type(value), name
            assert getattr(ours[name], "dtype", None) == getattr(value, "dtype", None), name
            np.testing.assert_array_equal(ours[name], value, err_msg=name)


def of_tf_data(folder, **options):
    return read_features(folder, **options).as_numpy_iterator()


def test_it_gives_what_read_features_gives(several_shards, lacking_fields):
    for split in ("train", "test", "train+test", "test+train"):
        assert_equal_elements(FeatureSource(several_shards, split), of_tf_data(several_shards, split=split))
    folder, front_end = lacking_fields
    found = list(FeatureSource(folder))
    assert [element["id"] for element in found] == [b"whole", b"bare", b"long#0", b"long#1"]
    assert_equal_elements(found, of_tf_data(folder, front_end=front_end))


@pytest.mark.parametrize(
    "options",
    [
        ["--dtype=bfloat16"],
        ["--dtype=float16"],
        ["--encoding=float_list"],
        ["--pad_to_max_length"],
        ["--front_end=whisper", "--pad_to_max_length=off"],
        ["--front_end=whisper"],
    ],
    ids=str,
)
def test_every_way_to_store_features(tmp_path, write_audio, options):
    clips = [(2000 * np.random.default_rng(n).standard_normal(4000 + 3000 * n)).astype("int16") for n in range(3)]
    write_audio(tmp_path / "audio", [{"audio": clip} for clip in clips])
    assert extract.main([f"--input={tmp_path}/audio", f"--output={tmp_path}/f", *options]) == 0
    front_end = "whisper" if "--front_end=whisper" in options else "gemma4"
    source = FeatureSource(tmp_path / "f", front_end=front_end)
    assert_equal_elements(source, of_tf_data(tmp_path / "f", front_end=front_end))
    source[0]["input_features"][0] = 0  # the arrays are the caller's own


def test_features_that_are_compressed(several_shards, tmp_path):
    """As TFDS stores a tensor whose encoding is zlib."""
    folder = tmp_path / "f"
    shutil.copytree(several_shards, folder)
    compress_features(folder)
    assert_equal_elements(FeatureSource(folder), FeatureSource(several_shards))
    assert_equal_elements(FeatureSource(folder), of_tf_data(folder))


def test_numbers_and_frames(several_shards):
    source = FeatureSource(several_shards, "train+test")
    elements = list(source)
    assert len(source) == len(elements) == 11
    assert source.num_frames.dtype == np.int64
    assert source.num_frames.tolist() == [len(element["input_features"]) for element in elements]
    assert source[-1]["id"] == source[10]["id"] == source[np.int64(10)]["id"] == b"clip-10"
    assert source[-11]["id"] == b"clip-0"
    for number in (11, -12):
        with pytest.raises(IndexError, match=f"record {number} of FeatureSource.*, which has 11"):
            source[number]
    for given in ("clip-0", slice(2)):
        with pytest.raises(TypeError, match="indexed by whole numbers"):
            source[given]


def test_columns(several_shards):
    assert FeatureSource(several_shards, features=["id", "num_frames"])[1] == {"id": b"clip-1", "num_frames": 49}
    assert set(FeatureSource(several_shards, features=["input_features"])[0]) == {"input_features"}
    with pytest.raises(ValueError, match="has no feature words"):
        FeatureSource(several_shards, features=["words"])


def test_neither_tensorflow_nor_beam_is_imported(several_shards):
    script = f"""
import sys
from melbeam.transforms import FeatureSource
source = FeatureSource({str(several_shards)!r}, "train[:90%]+test", front_end="gemma4")
assert sum(len(element["input_features"]) for element in source) == source.num_frames.sum()
print(sorted({{name.split(".")[0] for name in sys.modules}} & {{"tensorflow", "apache_beam", "keras"}}))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_processes_and_threads_share_a_source(several_shards, start):
    source = FeatureSource(several_shards, features=["id", "input_features"])
    expected = [source[number] for number in range(len(source))]  # so that its files are open before the fork
    with ThreadPoolExecutor(4) as pool:
        assert_equal_elements(pool.map(source.__getitem__, range(len(source))), expected)
    with multiprocessing.get_context(start).Pool(2) as pool:
        assert_equal_elements(pool.map(source.__getitem__, range(len(source))), expected)
    assert_equal_elements(pickle.loads(pickle.dumps(source)), expected)


def test_a_shard_is_opened_once(several_shards, monkeypatch):
    opened, real_open = [], open
    monkeypatch.setattr(storage, "_open_files", {})
    monkeypatch.setitem(
        vars(storage), "open", lambda path, *a, **k: opened.append(path) or real_open(path, *a, **k)
    )
    source = FeatureSource(several_shards)
    opened.clear()
    for _ in range(3):
        list(source)
    assert len(opened) == len(set(opened)) == 3  # the fourth is empty


def test_only_so_many_files_stay_open(several_shards, monkeypatch):
    monkeypatch.setattr(storage, "_open_files", {})
    monkeypatch.setattr(storage, "_MOST_OPEN_FILES", 2)
    source = FeatureSource(several_shards, "train+test")
    assert [element["id"] for element in source] == [f"clip-{n}".encode() for n in range(11)]
    assert len(storage._open_files) == 2


def test_a_folder_that_was_overwritten_is_read_anew(tmp_path, write_audio):
    command = [f"--input={tmp_path}/audio", f"--output={tmp_path}/f"]
    found = []
    for loudness in (1000, 2000):  # records of equal sizes, so that an index of one is that of the other
        write_audio(tmp_path / "audio", [{"audio": np.full(8000, loudness, np.int16), "id": "a"}])
        assert extract.main([*command, *(["--overwrite"] if found else [])]) == 0
        found.append(FeatureSource(tmp_path / "f")[0])
        assert_equal_elements([found[-1]], of_tf_data(tmp_path / "f"))
    assert not np.array_equal(found[0]["input_features"], found[1]["input_features"])


# ------------------------------------------------------------------------------------------- what is refused


def test_another_front_end_and_an_unknown_split(several_shards, tmp_path):
    with pytest.raises(ValueError, match="holds features of front end 'gemma4'"):
        FeatureSource(several_shards, front_end="whisper")
    with pytest.raises(ValueError, match="no finished split 'dev'; it has test, train"):
        FeatureSource(several_shards, "dev")
    with pytest.raises(ValueError, match=r"front_end.json is missing"):
        FeatureSource(tmp_path)
    with pytest.raises(ValueError, match="hdfs:// is not read here"):
        FeatureSource("hdfs://host/features")


@pytest.mark.parametrize("read", [FeatureSource, read_features])
def test_clips_of_another_length_than_the_model_takes_are_refused(several_shards, tmp_path, write_audio, read):
    # What the model takes is in no fingerprint.
    always_full = FrontEnd.load("gemma4").replace(model_takes="full_length")
    with pytest.raises(ValueError, match=r"at their own length.*'gemma4-changed' takes every clip at 3000 frames"):
        read(several_shards, front_end=always_full)
    write_audio(tmp_path / "audio", [{"audio": np.ones(8000, np.int16)}])
    assert extract.main([f"--input={tmp_path}/audio", f"--output={tmp_path}/f", "--front_end=whisper"]) == 0
    shorter = FrontEnd.load("whisper").replace(max_audio_length=10)
    with pytest.raises(ValueError, match=r"holds 3000 frames, .* takes every clip at 1000 frames"):
        read(tmp_path / "f", front_end=shorter)
    assert len(list(read(tmp_path / "f", front_end="whisper"))) == 1


@pytest.mark.parametrize("features", [None, ["input_features"]])
@pytest.mark.parametrize("read", [FeatureSource, read_features])
@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--normalize_by={}/statistics.json", "features of another front end than its folder"),
        ("--dtype=float16", "neither as many rows of features as frames nor those of the full length"),
    ],
)
def test_a_shard_of_another_job_is_told(tmp_path, write_audio, read, features, option, told):
    """As a copy leaves it that was interrupted: no checksum, no count and, normalised, no size differs."""
    for shard in (0, 1):
        samples = np.random.default_rng(shard).integers(-3000, 3000, 8160).astype(np.int16)
        write_audio(tmp_path / f"audio-{shard}", [{"audio": samples, "id": f"clip-{shard}"}])
    command = [f"--input={tmp_path}/audio-*"]
    assert extract.main([*command, f"--output={tmp_path}/f"]) == 0
    assert extract.main([*command, f"--output={tmp_path}/other", option.format(tmp_path / "f")]) == 0
    for name in ("train-00001-of-00002.tfrecord", "_melbeam/train/index/00001.npy"):
        shutil.copy(tmp_path / "other" / name, tmp_path / "f" / name)
    assert len(list(read(tmp_path / "f", "train[:1]", features=features))) == 1
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=told) as raised:
        list(read(tmp_path / "f", features=features))
    assert ("train-00001" if read is FeatureSource else "clip-1") in str(raised.value)


def test_damage_is_told_and_costs_no_other_record(several_shards, tmp_path):
    folder = tmp_path / "f"
    shutil.copytree(several_shards, folder)
    shard = folder / "train-00002-of-00004.tfrecord"
    data = bytearray(shard.read_bytes())
    rows = np.load(folder / "_melbeam/train/index/00002.npy")
    data[int(rows[1]["offset"]) + 500] ^= 1
    shard.write_bytes(data)
    source = FeatureSource(folder)
    expected = rf"train-00002-of-00004.tfrecord, record 1 \(at byte {rows[1]['offset']}\): the data's checksum"
    with pytest.raises(ValueError, match=expected):
        source[4]
    assert source[5]["id"] == b"clip-5"
    sliced = FeatureSource(folder, "train[4:]")
    with pytest.raises(ValueError, match=expected):
        sliced[0]


def test_a_shard_that_was_replaced_or_is_gone(several_shards, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "_open_files", {})
    folder = tmp_path / "f"
    shutil.copytree(several_shards, folder)
    (folder / "train-00000-of-00004.tfrecord").write_bytes((folder / "train-00002-of-00004.tfrecord").read_bytes())
    (folder / "train-00003-of-00004.tfrecord").unlink()
    source = FeatureSource(folder)
    with pytest.raises(ValueError, match=r"train-00000-of-00004.tfrecord, record 1 .*no record begins there"):
        source[1]
    with pytest.raises(FileNotFoundError, match=r"train-00003-of-00004.tfrecord"):
        source[-1]


def test_clips_that_nothing_restores_are_refused(tmp_path, write_audio):
    write_audio(tmp_path / "audio", [{"audio": np.ones(8000, np.int16)}])
    command = [f"--input={tmp_path}/audio", f"--output={tmp_path}/f", "--front_end=whisper"]
    assert extract.main([*command, "--pad_to_max_length=off"]) == 0
    path = next((tmp_path / "f").glob("train-*"))
    example = Example.FromString(next(iter(read_tfrecord_file(str(path)))).data)
    del example.features.feature["input_features_tail"]
    write(path, [example.SerializeToString()])
    assert index.main([f"{tmp_path}/f", "--overwrite"]) == 0
    with pytest.raises(ValueError, match="holds clips without what lies behind them"):
        FeatureSource(tmp_path / "f")[0]


# ----------------------------------------------------------------------------------------------- melbeam index


def test_a_folder_without_an_index_gets_one(tmp_path, capsys):
    folder = tmp_path / "f"
    shutil.copytree(FOLDER_OF_VERSION_1, folder)
    with pytest.raises(ValueError, match=rf"00000.npy is missing: `melbeam index {folder}` writes"):
        FeatureSource(folder)
    assert index.main([str(folder)]) == 0
    assert "split train: the index of 2 shards written\n" in capsys.readouterr().out
    split = "train+train_retried"
    assert_equal_elements(FeatureSource(folder, split), of_tf_data(folder, split=split))
    assert index.main([str(folder)]) == 0
    assert "split train: the index of 0 shards written, 2 were there\n" in capsys.readouterr().out


def test_the_index_is_that_of_extract(several_shards, tmp_path):
    folder = tmp_path / "f"
    shutil.copytree(several_shards, folder)
    before = {path: path.read_bytes() for path in folder.glob("_melbeam/*/index/*")}
    assert len(before) == 5
    for path in before:
        path.rename(f"{path}.1f.tmp")  # as a start that was killed leaves one
    assert index.main([str(folder)]) == 0
    assert {path: path.read_bytes() for path in folder.glob("_melbeam/*/index/*")} == before


def test_an_index_is_made_of_whole_shards_alone(several_shards, tmp_path, capsys):
    folder = tmp_path / "f"
    shutil.copytree(several_shards, folder)
    shard = folder / "train-00002-of-00004.tfrecord"
    whole = shard.read_bytes()
    rows = np.load(folder / "_melbeam/train/index/00002.npy")
    for content, expected in (
        (whole[: int(rows[3]["offset"])], r"holds 3 records, and dataset_info.json says 4"),
        (whole[:-1], r"record 3 (at byte "),
    ):
        shard.write_bytes(content)
        assert index.main([str(folder), "--overwrite"]) == 1
        assert expected in capsys.readouterr().err
    other = tmp_path / "nothing"
    other.mkdir()
    assert index.main([str(other)]) == 2
    assert "dataset_info.json is missing" in capsys.readouterr().err


def test_an_index_of_other_frames_is_told_with_the_record(several_shards, tmp_path):
    folder = tmp_path / "f"
    shutil.copytree(several_shards, folder)
    path = folder / "_melbeam/train/index/00000.npy"
    rows = np.load(path)
    rows["num_frames"][1] += 1
    np.save(path, rows)
    source = FeatureSource(folder)
    with pytest.raises(ValueError, match="record 1: it has 49 frames, and 50 in its index: write it anew"):
        source[1]
    assert source[0]["num_frames"] == source.num_frames[0]


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"fields": 3}'])
@pytest.mark.parametrize("read", [read_features, FeatureSource])
def test_a_split_whose_schema_is_damaged_names_the_file(several_shards, tmp_path, read, content):
    folder = tmp_path / "f"
    shutil.copytree(several_shards, folder)
    (folder / "_melbeam/train/schema.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"f/_melbeam/train/schema.json is not what melbeam writes \(.*: verify"):
        read(folder)


def test_an_index_of_other_records_is_refused(several_shards, tmp_path):
    folder = tmp_path / "f"
    shutil.copytree(several_shards, folder)
    path = folder / "_melbeam/train/index/00002.npy"
    for content, expected in (
        ((folder / "_melbeam/train/index/00000.npy").read_bytes(), "an index of 3 records, and .* has 4"),
        (path.read_bytes()[:100], "no index"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{expected}.*melbeam index {folder} --overwrite"):
            FeatureSource(folder)


@pytest.mark.parametrize("read", [read_features, FeatureSource])
class TestWhatIsNoFolder:
    def test_what_holds_folders(self, several_shards, read):
        with pytest.raises(ValueError, match=rf"is missing: did you mean {several_shards}\?"):
            read(several_shards.parent)

    def test_a_file_of_one(self, several_shards, read):
        with pytest.raises(ValueError, match=rf"it is a file: name its folder, {several_shards}$"):
            read(several_shards / "train-00000-of-00004.tfrecord")

    def test_an_empty_one(self, tmp_path, read):
        with pytest.raises(ValueError, match=r"is not what a finished `melbeam extract` leaves$"):
            read(tmp_path)

    @pytest.mark.parametrize("path", [None, b"features", 3])
    def test_no_path(self, read, path):
        with pytest.raises(ValueError, match=f"folder must be the path of one folder, got {path!r}"):
            read(path)

    def test_several(self, several_shards, read):
        with pytest.raises(ValueError, match=r"got \[.*: read each folder by itself, and join what comes of them"):
            read([several_shards, several_shards])


@pytest.mark.parametrize("read", [read_features, FeatureSource])
def test_splits_and_columns_of_other_types(several_shards, read):
    with pytest.raises(
        ValueError, match=r"split must be a string, 'train\+test' for example, got \['train', 'test'\]"
    ):
        read(several_shards, ["train", "test"])
    with pytest.raises(ValueError, match="split must be a string, 'train' for example, got None"):
        read(several_shards, None)
    for features in ("id", [], [1]):
        with pytest.raises(ValueError, match=re.escape(f"features must be a list of names, got {features!r}")):
            read(several_shards, features=features)


def test_a_split_of_a_later_melbeam_is_refused(several_shards, tmp_path):
    shutil.copytree(several_shards, tmp_path / "f")
    job = tmp_path / "f/_melbeam/test/job.json"
    content = json.loads(job.read_text())
    content["identity"]["record_version"] = RECORD_VERSION + 1
    job.write_text(json.dumps(content))
    summary = tmp_path / "f/_melbeam/test/summary.json"
    summary.write_text(json.dumps({**json.loads(summary.read_text()), "record_version": RECORD_VERSION + 1}))
    said = f"record_version is {RECORD_VERSION + 1}, this melbeam knows 1 to {RECORD_VERSION}: take the melbeam"
    for read in (FeatureSource, read_features):
        with pytest.raises(ValueError, match=said):
            read(tmp_path / "f", split="test")
    assert len(FeatureSource(tmp_path / "f", split="train")) == 8
    for job, split in ((show, "--split=test"), (report, "--split=test")):
        status, told = run(job, f"{tmp_path}/f", split)
        assert (status, said in told, told[-8:-1]) == (2, True, "[MB502]")
        assert len(told.splitlines()) == 1
