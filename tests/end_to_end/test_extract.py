"""Whole `extract` jobs: what is in the folder afterwards, exit statuses, refusals, resuming."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
import yaml

from helpers import encode, run, tree, which_file
from melbeam.pipelines import extract, verify
from melbeam.pipelines.extracting.shard_extractor import ShardExtractor
from melbeam.pipelines.sources.units import SourceOptions
from melbeam.pipelines.split.commit import commit
from melbeam.pipelines.split.plan import plan_shards
from melbeam.pipelines.tfrecord import TFRecordWriter, read_tfrecord_file
from melbeam.transforms import AudioConverter, FrontEnd, read_features
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.records.converter import RecordConverter
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.tf_example import to_example

RATE = 16000


def tone(seconds, seed):
    noise = 0.05 * np.random.default_rng(seed).standard_normal(round(RATE * seconds))
    return np.round((noise + 0.2 * np.sin(np.arange(len(noise)) * (seed + 1) / 10)) * 2**15).astype(np.int16)


def clip(name, seconds=0.5, seed=0, **features):
    return to_example({"audio": encode(tone(seconds, seed)), "id": name, **features})


def tfrecord(records):
    file = io.BytesIO()
    writer = TFRecordWriter(file)
    for record in records:
        writer.write(record)
    return file.getvalue()


def write_shards(folder, *shards):
    """Writes lists of records, or bytes as they are; gives the glob."""
    folder.mkdir(parents=True)
    for index, shard in enumerate(shards):
        data = shard if isinstance(shard, bytes) else tfrecord(shard)
        (folder / f"part-{index}.tfrecord").write_bytes(data)
    return f"{folder}/part-*"


def job(source, output, *arguments):
    return run(extract, f"--input={source}", f"--output={output}", *arguments)


def which_files(folder, pattern):
    return {p.name: which_file(p) for p in sorted(folder.glob(pattern))}


def parsed(folder, pattern):
    """The features of all records of the files, in order."""
    return [
        tf.train.Example.FromString(item.data).features.feature
        for path in sorted(folder.glob(pattern))
        for item in read_tfrecord_file(str(path))
    ]


def text(example, name):
    return example[name].bytes_list.value[0].decode()


def number(example, name):
    return example[name].int64_list.value[0]


def matrix(example):
    return np.frombuffer(example["input_features"].bytes_list.value[0], "<f4").reshape(-1, 128)


def summary(folder, split="train"):
    return json.loads((folder / f"_melbeam/{split}/summary.json").read_text())


def statistics(folder, split="train"):
    return json.loads((folder / "statistics.json").read_text())["splits"][split]


SAMPLES = {"a": tone(1.0, 1), "b": tone(0.3, 2), "c": tone(2.5, 3)}
GOOD = {
    name: to_example({"audio": encode(samples), "id": name, "language": "en"}) for name, samples in SAMPLES.items()
}
BAD = {
    "not_an_example": b"\xff\xff garbage",
    "no_audio": to_example({"text": "no sound"}),
    "bad_audio": to_example({"audio": b"RIFF, but no more", "id": "broken"}),
    "empty_audio": to_example({"audio": encode(tone(0, 0)), "id": "silent"}),
}
SHARDS = [
    [GOOD["a"], BAD["not_an_example"], GOOD["b"]],
    [],
    [BAD["no_audio"], BAD["bad_audio"], GOOD["c"], BAD["empty_audio"]],
]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Three shards: the second is empty, the third GZIP."""
    folder = tmp_path_factory.mktemp("mixed") / "audio"
    return write_shards(folder, *SHARDS[:2], gzip.compress(tfrecord(SHARDS[2])))


@pytest.fixture(scope="module")
def finished(source, tmp_path_factory):
    """A finished job over `source`: what it said, and its folder."""
    folder = tmp_path_factory.mktemp("finished") / "1.0.0"
    return job(source, folder), folder


class TestFinished:
    def test_too_many_rejects_are_an_exit_status(self, finished):
        (status, said), folder = finished
        assert status == 3
        assert "7 records read = 3 converted + 4 rejected" in said
        assert "57.14% of the records are rejects" in said
        assert f"`melbeam rejects {folder} --split=train` says why" in said

    def test_features_are_the_converters_in_the_order_of_the_input(self, finished):
        converter = AudioConverter("gemma4", pad_to_max_length=False)
        records = parsed(finished[1], "train-*")
        assert [text(record, "id") for record in records] == ["a", "b", "c"]
        for record, samples in zip(records, SAMPLES.values(), strict=True):
            expected = converter(samples.astype(np.float32) / 2**15).numpy()
            np.testing.assert_array_equal(matrix(record), expected)
            assert number(record, "num_samples") == len(samples)
            assert number(record, "num_frames") == len(expected)
            assert text(record, "language") == "en"

    def test_rejects_hold_reason_place_and_the_bytes_as_read(self, finished, source):
        rejects = {text(record, "reason"): record for record in parsed(finished[1], "_melbeam/train/rejects/*")}
        assert {reason: r["record"].bytes_list.value[0] for reason, r in rejects.items()} == BAD
        folder = source.removesuffix("part-*")
        assert {reason: text(r, "source").removeprefix(folder) for reason, r in rejects.items()} == {
            "not_an_example": "part-0.tfrecord#1",
            "no_audio": "part-2.tfrecord#0",
            "bad_audio": "part-2.tfrecord#1",
            "empty_audio": "part-2.tfrecord#3",
        }
        assert all(text(r, "detail") and number(r, "melbeam_reject") == 1 for r in rejects.values())

    def test_the_folder_holds_what_the_readme_says_and_no_more(self, finished):
        assert sorted(tree(finished[1])) == sorted(
            [
                *(f"train-0000{i}-of-00003.tfrecord" for i in range(3)),
                *(f"records/train-0000{i}-of-00003.parquet" for i in range(3)),
                *("README.md", "croissant.json"),
                *("dataset_info.json", "features.json", "front_end.json", "statistics.json"),
                *(f"_melbeam/train/{name}" for name in ("job.json", "plan.jsonl", "schema.json", "summary.json")),
                *(f"_melbeam/train/reports/0000{i}.json" for i in range(3)),
                *(f"_melbeam/train/index/0000{i}.npy" for i in range(3)),
                *(f"_melbeam/train/rejects/0000{i}.tfrecord" for i in (0, 2)),
            ]
        )

    def test_statistics_are_numpys(self, finished):
        frames = np.concatenate([matrix(record) for record in parsed(finished[1], "train-*")]).astype(np.float64)
        found = statistics(finished[1])
        assert found["num_frames"] == len(frames)
        np.testing.assert_allclose(found["per_bin_mean"], frames.mean(axis=0), rtol=0, atol=1e-8)
        np.testing.assert_allclose(found["per_bin_stddev"], frames.std(axis=0), rtol=0, atol=1e-6)

    def test_counts(self, finished):
        found = statistics(finished[1])
        counts = {"records_read": 7, "records_converted": 3, "records_rejected": 4, "num_features": 3}
        assert {name: found[name] for name in counts} == counts
        assert found["rejects"] == dict.fromkeys(sorted(BAD), 1)
        assert found["seconds"] == sum(map(len, SAMPLES.values())) / RATE

    def test_tfds_metadata(self, finished):
        folder = finished[1]
        (split,) = json.loads((folder / "dataset_info.json").read_text())["splits"]
        assert (split["name"], split["shardLengths"]) == ("train", ["2", "0", "1"])
        assert int(split["numBytes"]) == sum(p.stat().st_size for p in folder.glob("train-*"))
        described = json.loads((folder / "features.json").read_text())["featuresDict"]["features"]
        assert sorted(described) == sorted(parsed(folder, "train-*")[0])
        assert described["input_features"]["tensor"]["shape"]["dimensions"] == ["-1", "128"]

    @pytest.mark.slow
    def test_tfds_reads_the_folder(self, finished):
        tfds = pytest.importorskip("tensorflow_datasets", reason="`make check` installs it")
        builder = tfds.builder_from_directory(str(finished[1]))
        assert builder.info.splits["train"].num_examples == 3
        records = list(tfds.as_numpy(builder.as_dataset(split="train")))
        assert sorted(record["id"] for record in records) == [b"a", b"b", b"c"]

    def test_read_features_gives_them_back(self, finished):
        clips = list(read_features(finished[1]))
        assert [c["id"].numpy().decode() for c in clips] == ["a", "b", "c"]
        for c, record in zip(clips, parsed(finished[1], "train-*"), strict=True):
            np.testing.assert_array_equal(c["input_features"], matrix(record))

    def test_another_folder_gets_the_same_bytes(self, finished, source, tmp_path):
        job(source, tmp_path / "again")
        assert tree(tmp_path / "again") == tree(finished[1])

    def test_workers_and_order_do_not_show(self, finished, source, tmp_path):
        job(source, tmp_path / "one", "--direct_num_workers=1", "--direct_running_mode=in_memory")
        assert tree(tmp_path / "one") == tree(finished[1])

    def test_the_same_command_again_extracts_nothing(self, finished, source):
        folder = finished[1]
        before = tree(folder), which_files(folder, "train-*"), which_files(folder, "_melbeam/train/re*/*")
        again = job(source, folder)
        assert (again.status, "7 records read" in again.text) == (3, True)
        after = tree(folder), which_files(folder, "train-*"), which_files(folder, "_melbeam/train/re*/*")
        assert after == before

    def test_a_higher_bound_accepts_the_rejects(self, finished, source):
        assert job(source, finished[1], "--max_reject_fraction=0.6").status == 0

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            (["--front_end=gemma4_documented"], "fingerprint was '{}"),
            (["--front_end=gemma4_documented", "--split=other"], "holds split 'train' with fingerprint '{}"),
            (["--dtype=bfloat16"], "dtype was 'float32' and is now 'bfloat16'"),
            (["--dtype=bfloat16", "--split=other"], "with dtype 'float32', this job has 'bfloat16'"),
            (["--encoding=float_list", "--split=other"], "with encoding 'bytes', this job has 'float_list'"),
            (["--on_long=chunk"], "on_long was 'reject' and is now 'chunk'"),
            (["--limit=2"], "num_shards was 3 and is now 1"),
        ],
    )
    def test_another_job_is_refused_with_the_difference_named(self, finished, source, arguments, named):
        before = tree(finished[1])
        refused = job(source, finished[1], *arguments)
        named = named.format(FrontEnd.load("gemma4").fingerprint)
        assert (refused.status, named in refused.text) == (2, True), refused.text
        assert tree(finished[1]) == before

    def test_overwrite_does_not_mix_front_ends(self, finished, source):
        arguments = ["--front_end=gemma4_documented", "--split=other", "--overwrite"]
        assert job(source, finished[1], *arguments).status == 2


def test_a_second_split_joins(tmp_path):
    folder = tmp_path / "features"
    job(write_shards(tmp_path / "train", [clip("a"), clip("b")]), folder)
    train = {name: data for name, data in tree(folder).items() if "train" in name}
    assert job(write_shards(tmp_path / "test", [clip("c")]), folder, "--split=test").status == 0
    assert {name: data for name, data in tree(folder).items() if "train" in name} == train
    splits = json.loads((folder / "dataset_info.json").read_text())["splits"]
    assert [(s["name"], s["shardLengths"]) for s in splits] == [("test", ["1"]), ("train", ["2"])]
    assert [statistics(folder, split)["num_features"] for split in ("train", "test")] == [2, 1]
    assert [c["id"].numpy() for c in read_features(folder, split="test")] == [b"c"]


def test_overwrite_leaves_nothing_of_the_old_split(tmp_path):
    folder = tmp_path / "features"
    job(write_shards(tmp_path / "old", [clip("a"), b"\xff"], [clip("b")]), folder)
    new = write_shards(tmp_path / "new", [clip("c")])
    assert job(new, folder, "--front_end=gemma4_documented", "--overwrite").status == 0
    fresh = tmp_path / "fresh"
    job(new, fresh, "--front_end=gemma4_documented")
    assert tree(folder) == tree(fresh)


def test_foreign_shards_are_not_replaced(tmp_path):
    (tmp_path / "features").mkdir()
    (tmp_path / "features/train-00000-of-00001.tfrecord").write_bytes(b"somebody's")
    refused = job(write_shards(tmp_path / "audio", [clip("a")]), tmp_path / "features", "--overwrite")
    assert (refused.status, "that melbeam did not write" in refused.text) == (2, True)
    assert tree(tmp_path / "features") == {"train-00000-of-00001.tfrecord": b"somebody's"}


def test_limit_counts_across_shards(tmp_path):
    shards = [[clip("a"), b"\xff"], [], [clip("b"), clip("c")], [clip("d")]]
    limited = job(write_shards(tmp_path / "audio", *shards), tmp_path / "features", "--limit=3")
    assert "3 records read = 2 converted + 1 rejected" in limited.text
    assert [text(r, "id") for r in parsed(tmp_path / "features", "train-*-of-00003.tfrecord")] == ["a", "b"]
    assert summary(tmp_path / "features")["shard_features"] == [1, 0, 1]


def test_dry_run_shows_the_plan_and_writes_nothing(source, tmp_path):
    shown = job(source, tmp_path / "features", "--dry_run")
    assert shown.status == 0
    assert not (tmp_path / "features").exists()
    for index in range(3):
        line = next(line for line in shown.text.splitlines() if f"part-{index}.tfrecord" in line)
        assert line.endswith(f" -> {tmp_path}/features/train-0000{index}-of-00003.tfrecord")


class TestConfig:
    @pytest.fixture
    def config(self, tmp_path):
        def write(**values):
            path = tmp_path / "job.yaml"
            path.write_text(yaml.safe_dump(values))
            return f"--config={path}"

        return write

    def test_the_command_line_wins(self, config, tmp_path):
        source = write_shards(tmp_path / "audio", [clip("a")])
        values = {"input": source, "output": str(tmp_path / "features"), "split": "dev", "dtype": "bfloat16"}
        ended = run(extract, config(**values, direct_num_workers=1), "--split=test", "--dtype=float16")
        assert ended.status == 0, ended.text
        assert [p.name for p in (tmp_path / "features/_melbeam").iterdir()] == ["test"]
        identity = json.loads((tmp_path / "features/_melbeam/test/job.json").read_text())["identity"]
        assert identity["dtype"] == "float16"

    @pytest.mark.parametrize("as_list", [False, True])
    def test_the_input_on_the_command_line_wins(self, config, tmp_path, as_list):
        inside = write_shards(tmp_path / "config", [clip("a")])
        given = write_shards(tmp_path / "given", [clip("b")])
        shown = job(given, tmp_path / "f", config(input=[inside] if as_list else inside), "--dry_run")
        assert (shown.status, "melbeam: 1 shard, " in shown.text) == (0, True), shown.text
        assert f"{tmp_path}/given/part-0" in shown.text

    def test_values_are_checked_as_on_the_command_line(self, config, source, tmp_path):
        refused = job(source, tmp_path / "f", config(on_long="drop"))
        assert (refused.status, "on_long must be one of" in refused.text) == (2, True)

    def test_an_unknown_name_is_refused(self, config, source, tmp_path):
        refused = job(source, tmp_path / "f", config(on_lonk="chunk"))
        assert (refused.status, "did you mean --on_long?" in refused.text) == (2, True)
        assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--on_lon=chunk"], "did you mean --on_long?"),
        (["--direct_num_worker=1"], "did you mean --direct_num_workers?"),
        (["--runner=DaskRunner"], "it loses data without an error"),
        (["--config=/nowhere.yaml"], "--config=/nowhere.yaml cannot be read"),
        (["--front_end=gemma5"], "gemma5"),
        (["--dtype=float64"], "invalid choice: 'float64'"),
        (["--dtype=float16", "--encoding=float_list"], "stores float32 only"),
        (["--limit=0"], "--limit must be at least 1"),
        (["--max_reject_fraction=2"], "--max_reject_fraction must be in [0, 1]"),
        (["--split=a-b"], "--split must be letters"),
        (["another-file.tfrecord"], "another-file.tfrecord"),
    ],
)
def test_a_wrong_call_is_refused(source, tmp_path, arguments, named):
    refused = job(source, tmp_path / "features", *arguments)
    assert (refused.status, named in refused.text) == (2, True), refused.text
    assert not (tmp_path / "features").exists()


def test_files_where_raw_samples_are_asked_for_are_refused_at_the_start(source, tmp_path):
    refused = job(source, tmp_path / "o", "--audio_format=pcm_s16le", "--pcm_sampling_rate=16000")
    assert refused.status == 2
    assert "begin as a file does (WAV): pass --audio_format=encoded" in refused.text
    assert not (tmp_path / "o").exists()


def test_a_missing_input_is_refused(tmp_path):
    refused = job(f"{tmp_path}/none-*", tmp_path / "features")
    assert (refused.status, "names no file" in refused.text) == (2, True)
    assert not (tmp_path / "features").exists()


LONG = [clip("short"), clip("long", 30.5, seed=1), clip("longer", 60.005, seed=2)]


@pytest.fixture(scope="module")
def long_source(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("long") / "audio", LONG)


class TestLongClips:
    def test_reject_then_feed_the_rejects_back_in_chunks(self, long_source, tmp_path):
        rejected = job(long_source, tmp_path)
        assert (rejected.status, summary(tmp_path)["rejects"]) == (3, {"too_long": 2})
        assert [r["record"].bytes_list.value[0] for r in parsed(tmp_path, "_melbeam/*/rejects/*")] == LONG[1:]
        again = job(f"{tmp_path}/_melbeam/train/rejects/*", tmp_path, "--split=train_long", "--on_long=chunk")
        assert again.status == 0
        self.check_chunks(parsed(tmp_path, "train_long-*"))

    def test_chunk(self, long_source, tmp_path):
        assert job(long_source, tmp_path, "--on_long=chunk").status == 0
        first, *chunks = parsed(tmp_path, "train-*")
        assert (text(first, "id"), "chunk_index" in first) == ("short", False)
        self.check_chunks(chunks)
        found = summary(tmp_path)
        assert (found["records_read"], found["records_converted"], found["shard_features"]) == (3, 3, [5])
        assert found["changes"] == {"chunked": 2, "trimmed": 1}
        assert found["num_samples"] == round(RATE * (0.5 + 30.5 + 60.005))
        none = np.iinfo(np.int64).min  # TFDS's default of what a record lacks
        assert [c["chunk_index"].numpy() for c in read_features(tmp_path)] == [none, 0, 1, 0, 1]

    @staticmethod
    def check_chunks(chunks):
        assert [text(c, "id") for c in chunks] == ["long#0", "long#1", "longer#0", "longer#1"]
        assert [number(c, "start_sample") for c in chunks] == [0, 480000, 0, 480000]
        assert [number(c, "num_samples") for c in chunks] == [480000, 8000, 480000, 480000]
        converter = AudioConverter("gemma4", pad_to_max_length=False)
        rest = tone(30.5, 1)[480000:].astype(np.float32) / 2**15
        np.testing.assert_array_equal(matrix(chunks[1]), converter(rest))

    def test_truncate(self, long_source, tmp_path):
        assert job(long_source, tmp_path, "--on_long=truncate").status == 0
        records = parsed(tmp_path, "train-*")
        assert [text(r, "id") for r in records] == ["short", "long", "longer"]
        assert [number(r, "num_samples") for r in records] == [8000, 480000, 480000]
        assert summary(tmp_path)["changes"] == {"truncated": 2}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Input of two clips, and their features as stored by default."""
    folder = tmp_path_factory.mktemp("plain")
    source = write_shards(folder / "audio", [clip("a", 0.5, 1), clip("b", 0.8, 2)])
    job(source, folder / "features")
    return source, [matrix(record) for record in parsed(folder / "features", "train-*")]


@pytest.mark.parametrize(
    "arguments", [["--dtype=bfloat16"], ["--dtype=float16"], ["--encoding=float_list"], ["--precision=float32"]]
)
def test_every_way_of_storing_is_read_back(plain, tmp_path, arguments):
    source, expected = plain
    assert job(source, tmp_path, *arguments).status == 0
    for c, features in zip(read_features(tmp_path), expected, strict=True):
        got = c["input_features"]
        if arguments == ["--precision=float32"]:
            np.testing.assert_allclose(got, features, atol=0.3)
            assert not np.array_equal(got, features)
        else:
            np.testing.assert_array_equal(got, tf.cast(features, got.dtype))
        assert got.dtype.name == (arguments[0].split("=")[1] if "dtype" in arguments[0] else "float32")


def test_padded_clips_begin_with_the_unpadded(plain, tmp_path):
    source, expected = plain
    assert job(source, tmp_path, "--pad_to_max_length").status == 0
    for c, features in zip(read_features(tmp_path), expected, strict=True):
        assert (c["input_features"].shape, int(c["num_frames"])) == ((3000, 128), len(features))
        np.testing.assert_array_equal(c["input_features"][: len(features)], features)
    (batch,) = read_features(tmp_path, batch_size=2)
    assert not batch["input_features"][0, len(expected[0]) :].numpy().any()
    frames = np.concatenate(expected).astype(np.float64)
    np.testing.assert_allclose(statistics(tmp_path)["per_bin_mean"], frames.mean(axis=0), atol=1e-8)


def test_damage_costs_one_record_and_every_record_is_accounted_for(tmp_path):
    data = bytearray(tfrecord([clip("a"), clip("b"), clip("c")]))
    data[len(data) // 2] ^= 0xFF
    ended = job(write_shards(tmp_path / "audio", bytes(data), [clip("d")]), tmp_path / "features")
    assert (ended.status, "4 records read = 3 converted + 1 rejected" in ended.text) == (3, True)
    assert [text(r, "id") for r in parsed(tmp_path / "features", "train-*")] == ["a", "c", "d"]
    assert summary(tmp_path / "features")["rejects"] == {"bad_checksum": 1}


def test_mostly_rejects_stop_the_job_early(tmp_path):
    good = clip("a", 0.05)
    source = write_shards(tmp_path / "audio", [good] * 499 + [b"\xff"] * 501 + [good] * 700)
    stopped = job(source, tmp_path / "features")
    assert stopped.status == 1
    what, then = stopped.text.splitlines()[-2:]
    assert "501 of the first 1000 records are rejects (501 not_an_example), more than 50%" in what
    assert then == "melbeam: what was finished is kept: the same command does only what is left"
    assert not list((tmp_path / "features").glob("train-*"))
    accepted = job(source, tmp_path / "features", "--max_reject_fraction=1")
    assert accepted.status == 0
    assert summary(tmp_path / "features")["records_read"] == 1700
    assert not list((tmp_path / "features/_melbeam/train/tmp").iterdir())


class TestResume:
    @pytest.fixture
    def stopped(self, tmp_path):
        """A finished job's input and folder, to be damaged."""
        source = write_shards(tmp_path / "audio", [clip("a")], [clip("b"), b"\xff"], [clip("c")])
        folder = tmp_path / "features"
        job(source, folder)
        return source, folder, tree(folder), which_files(folder, "train-*")

    def check_only_the_second_is_new(self, stopped, *options):
        source, folder, files, before = stopped
        assert job(source, folder, *options).status == 3
        assert tree(folder) == files
        new = {name for name, file in which_files(folder, "train-*").items() if file != before[name]}
        assert new == {"train-00001-of-00003.tfrecord"}

    def test_a_shard_without_its_report_is_done_again(self, stopped):
        (stopped[1] / "_melbeam/train/reports/00001.json").unlink()
        self.check_only_the_second_is_new(stopped)

    @pytest.mark.parametrize("name", ["train-00001-of-00003.tfrecord", "_melbeam/train/rejects/00001.tfrecord"])
    def test_a_cut_file_is_done_again(self, stopped, name):
        path = stopped[1] / name
        path.write_bytes(path.read_bytes()[:-1])
        self.check_only_the_second_is_new(stopped)

    @pytest.mark.parametrize("name", ["train-00001-of-00003.tfrecord", "_melbeam/train/rejects/00001.tfrecord"])
    def test_a_damaged_file_is_done_again_where_what_is_done_is_read(self, stopped, name):
        """A start reads nothing of what is done unless it is told to: of terabytes, that takes hours."""
        source, folder, files, _ = stopped
        path = folder / name
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        taken = job(source, folder)
        assert "all were done by an earlier start (taken by size and report, --recheck reads)" in taken.text
        assert tree(folder)[name] != files[name]
        self.check_only_the_second_is_new(stopped, "--recheck")

    def test_a_torn_report_is_no_report(self, stopped):
        path = stopped[1] / "_melbeam/train/reports/00001.json"
        path.write_bytes(path.read_bytes()[:100])
        self.check_only_the_second_is_new(stopped)

    @pytest.mark.parametrize("renamed", [[], ["features"]])
    def test_a_finished_attempt_is_adopted(self, stopped, renamed):
        source, folder, files, _ = stopped
        (folder / "_melbeam/train/reports/00001.json").unlink()
        paths = SplitFolder(str(folder), "train")
        shard = plan_shards([source], SourceOptions())[0][1]
        job_hash = json.loads((folder / "_melbeam/train/job.json").read_text())["hash"]
        extractor = ShardExtractor(
            paths,
            RecordConverter(FrontEnd.load("gemma4"), RecordOptions()),
            job_hash,
            max_reject_fraction=0.01,
        )
        attempt = extractor.extract(shard)
        temporary = paths.temporary(1, attempt.name, "features")
        temporary_file = which_file(temporary)
        for _ in renamed:
            os.rename(temporary, paths.shard(1, 3))
        job(source, folder)
        assert tree(folder) == files
        assert which_files(folder, "train-00001-*") == {"train-00001-of-00003.tfrecord": temporary_file}

    def test_what_a_dead_attempt_left_is_swept_away(self, stopped):
        _, folder, _, _ = stopped
        (folder / "_melbeam/train/reports/00001.json").unlink()
        (folder / "_melbeam/train/tmp/00001").mkdir()
        (folder / "_melbeam/train/tmp/00001/0123456789ab.features").write_bytes(b"half a rec")
        self.check_only_the_second_is_new(stopped)

    @pytest.mark.slow
    def test_a_killed_job_goes_on(self, tmp_path):
        records = [clip(str(i), 20, seed=i) for i in range(20)]
        source = write_shards(tmp_path / "audio", *[records] * 6)
        job(source, tmp_path / "whole")
        folder = tmp_path / "killed"
        command = [sys.executable, "-m", "melbeam.pipelines.extract", f"--input={source}", f"--output={folder}"]
        running = subprocess.Popen([*command, "--direct_num_workers=1"], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not list(folder.glob("_melbeam/train/tmp/*/*.report")):
            assert running.poll() is None, "it ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        running.wait()
        kept = {p.parent.name: which_file(p) for p in folder.glob("_melbeam/train/tmp/*/*.features")}
        reports = {p.parent.name for p in folder.glob("_melbeam/train/tmp/*/*.report")}
        assert len(reports) < 6
        assert job(source, folder).status == 0
        assert tree(folder) == tree(tmp_path / "whole")
        for index in reports:
            assert which_file(folder / f"train-{index}-of-00006.tfrecord") == kept[index]


class TestPartsOfALargeFile:
    """The records that one shard would have, in the same order, over several."""

    @pytest.fixture
    def large(self, tmp_path):
        """A small file; a large one with a record above the limit, one that is none and one of a broken length."""
        records = [clip(f"c{i}", 0.2 + 0.05 * (i % 5), seed=i) for i in range(20)]
        records[5], records[11] = clip("huge", 3.0), b"\xff\xff"
        data = bytearray(tfrecord(records))
        data[len(tfrecord(records[:15]))] ^= 1
        return write_shards(tmp_path / "in", [clip("small")], bytes(data))

    OPTIONS = ("--max_reject_fraction=1", "--max_record_bytes=50000")

    def shards(self, folder):
        return b"".join(data for name, data in tree(folder).items() if name.startswith("train-"))

    def rejects(self, folder):
        return [
            item.data
            for path in sorted(folder.glob("_melbeam/*/rejects/*"))
            for item in read_tfrecord_file(str(path))
        ]

    @pytest.mark.parametrize("max_shard_bytes", [60_000, 20_000])
    def test_they_are_the_whole(self, large, tmp_path, max_shard_bytes):
        whole = job(large, tmp_path / "whole", *self.OPTIONS)
        parts = job(large, tmp_path / "parts", *self.OPTIONS, f"--max_shard_bytes={max_shard_bytes}")
        assert (whole.status, parts.status) == (0, 0), parts.text
        said = "21 records read = 18 converted + 3 rejected"
        assert said in whole.text
        assert said in parts.text
        assert len(list((tmp_path / "whole").glob("train-*"))) == 2
        assert len(list((tmp_path / "parts").glob("train-*"))) == 1 + -(
            -os.path.getsize(f"{large[:-1]}1.tfrecord") // max_shard_bytes
        )
        assert self.shards(tmp_path / "parts") == self.shards(tmp_path / "whole")
        assert self.rejects(tmp_path / "parts") == self.rejects(tmp_path / "whole")
        statistics = [(tmp_path / name / "statistics.json").read_bytes() for name in ("whole", "parts")]
        assert statistics[0] == statistics[1]
        assert verify.main([str(tmp_path / "parts")]) == 0

    def test_they_are_resumed_and_not_mixed(self, large, tmp_path):
        options = [*self.OPTIONS, "--max_shard_bytes=40000"]
        folder = tmp_path / "parts"
        job(large, folder, *options)
        files = tree(folder)
        (folder / "_melbeam/train/reports/00002.json").unlink()
        assert job(large, folder, *options).status == 0
        assert tree(folder) == files
        refused = job(large, folder, *self.OPTIONS)
        assert refused.status == 2
        assert "num_shards was" in refused.text

    def test_compressed_files_and_limited_jobs_have_none(self, tmp_path):
        source = write_shards(tmp_path / "in", gzip.compress(tfrecord([clip(str(i)) for i in range(4)])))
        assert job(source, tmp_path / "a", "--max_shard_bytes=100").status == 0
        plain = write_shards(tmp_path / "plain", [clip(str(i)) for i in range(4)])
        assert job(plain, tmp_path / "b", "--max_shard_bytes=100", "--limit=3").status == 0
        assert [len(list((tmp_path / name).glob("train-*"))) for name in "ab"] == [1, 1]

    def test_the_dry_run_shows_them(self, large, tmp_path):
        shown = job(large, tmp_path / "out", "--dry_run", "--max_shard_bytes=60000").text
        parts = -(-os.path.getsize(f"{large[:-1]}1.tfrecord") // 60_000)
        assert f"melbeam: {1 + parts} shards" in shown
        assert f"part 2 of {parts} of " in shown

    def test_no_size_is_refused(self, large, tmp_path):
        refused = job(large, tmp_path / "out", "--max_shard_bytes=0")
        assert (refused.status, "--shard_bytes must be at least 1, got 0" in refused.text) == (2, True)


def test_a_late_attempt_of_a_worker_that_was_taken_for_dead(tmp_path, caplog):
    """In the middle of an attempt the whole job is done elsewhere; the attempt then ends, and is committed."""
    source = write_shards(tmp_path / "in", *([clip(f"{i}-{j}") for j in range(3)] for i in range(2)))
    folder, undisturbed = tmp_path / "features", tmp_path / "undisturbed"
    assert job(source, undisturbed).status == 0
    paths, shard = SplitFolder(str(folder), "train"), plan_shards([source], SourceOptions())[0][1]
    done = []

    class JobInTheMiddle(RecordConverter):
        def prepare(self, record, source_name):
            if not done:
                done.append(job(source, folder))
            return super().prepare(record, source_name)

    extractor = ShardExtractor(
        paths,
        JobInTheMiddle(FrontEnd.load("gemma4"), RecordOptions()),
        json.loads((undisturbed / "_melbeam/train/job.json").read_text())["hash"],
        max_reject_fraction=0.01,
    )
    late = extractor.extract(shard)
    assert done[0].status == 0, done[0].text
    assert "an earlier attempt never ended" in caplog.text
    commit(paths, late)
    assert tree(folder) == tree(undisturbed)
    assert verify.main([str(folder)]) == 0


def test_an_output_that_cannot_be_written_is_told_in_one_line(source, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    failed = job(source, tmp_path / "file" / "features")
    assert failed.status == 2
    assert f"melbeam: --output={tmp_path}/file/features: {tmp_path}/file is a file" in failed.text
    assert "Traceback" not in failed.text


def test_names_that_melbeam_writes_are_refused_at_the_start(tmp_path):
    source = write_shards(tmp_path / "in", b"", [clip("a", num_frames=3, source="x")])
    refused = job(source, tmp_path / "features")
    assert (refused.status, "has features num_frames, source, names that" in refused.text) == (2, True)
    assert not (tmp_path / "features").exists()


def test_a_preset_names_the_front_end(tmp_path):
    source = write_shards(tmp_path / "in", [clip("a")])
    assert job(source, tmp_path / "features", "--front_end=whisper_base_en").status == 0
    assert next(iter(read_features(tmp_path / "features", front_end="whisper")))["input_features"].shape == (
        3000,
        80,
    )
