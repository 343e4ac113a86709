"""The sources in somebody's own pipeline: in front of ExtractLogMel, and in front of log_mel_map."""

import json
import warnings
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.testing.util import assert_that, equal_to

from helpers import clip, write
from melbeam.pipelines.sources import ReadAudio, read_audio
from melbeam.transforms import ExtractLogMel, log_mel_map
from melbeam.transforms.records.decoding import decode_audio
from melbeam.transforms.records.example_proto import Example


def value(record, name):
    return Example.FromString(record).features.feature[name].bytes_list.value[0].decode()


@pytest.fixture
def manifest(fixtures):
    rows = [
        {"audio": "clips/morning.wav", "text": "good morning", "n": 1, "tags": ["a"]},
        {"audio": "clips/gone.wav", "text": "no"},
        {"audio": "clips/weather.mp3", "text": "the weather", "tags": ["b", "c"]},
    ]
    Path("m.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return fixtures


def test_read_audio_in_front_of_extract_log_mel(manifest):
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        made = pipeline | ReadAudio("m.jsonl") | ExtractLogMel()
        texts = made.features | "texts" >> beam.Map(value, "text")
        reasons = made.rejects | "reasons" >> beam.Map(
            lambda record: (value(record, "id"), value(record, "reason"))
        )
        assert_that(texts, equal_to(["good morning", "the weather"]), "texts are there")
        assert_that(reasons, equal_to([("clips/gone.wav", "not_found")]), "reasons are there")


def test_a_large_file_is_read_once_in_parts(fixtures):
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        records = pipeline | ReadAudio("webdataset-{0000..0001}.tar", columns="text=txt")
        texts = records | beam.Map(value, "text")
        assert_that(texts, equal_to(["good morning", "the river", "the weather"]))


def test_what_is_wrong_is_refused_when_the_pipeline_is_built(fixtures):
    with pytest.raises(ValueError, match="names no file"):
        ReadAudio("nothing/**")
    with pytest.raises(ValueError, match="--input_format must be one of"):
        ReadAudio("clips/**", input_format="wav")
    for reading in (read_audio, ReadAudio):
        with pytest.raises(ValueError, match=r"none of the first 3 records, from .* has 'tx'"):
            reading("webdataset-{0000..0001}.tar", columns={"text": "tx"})
        with pytest.raises(ValueError, match=r"columns must be a dict of our names to theirs, .* got 5"):
            reading("clips", columns=5)


def test_read_audio_as_tf_data_in_front_of_log_mel_map(fixtures):
    dataset = read_audio("datasets.parquet")
    found = list(dataset.as_numpy_iterator())
    assert [clip["text"] for clip in found] == [b"good morning", b"the river", b"the weather"]
    assert [clip["takes"] for clip in found] == [1, 2, 3]
    whole = decode_audio(fixtures["weather"], sampling_rate=16000).samples
    np.testing.assert_array_equal(found[2]["audio"], whole)
    features = list(dataset.map(log_mel_map()))
    assert [int(clip["num_frames"]) for clip in features] == [49, 49, 49]
    assert features[0]["text"] == b"good morning"


def test_a_dataset_has_lists_where_some_record_has_one_and_defaults_where_some_lack_a_value(fixtures):
    rows = [
        {"audio": "clips/morning.wav", "n": 1, "tags": ["a"]},
        {"audio": "clips/river.flac", "tags": ["b", "c"]},
    ]
    Path("m.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    first, second = read_audio("m.jsonl")
    assert (first["n"].numpy(), second["n"].numpy()) == (1, np.iinfo(np.int64).min)
    assert (first["tags"].numpy().tolist(), second["tags"].numpy().tolist()) == ([b"a"], [b"b", b"c"])
    assert first["id"] == b"clips/morning.wav"


def test_a_record_that_cannot_be_read_is_an_error_that_names_it(manifest):
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"m\.jsonl#1: not_found: clips/gone\.wav is not there"
    ):
        list(read_audio("m.jsonl"))


@pytest.mark.parametrize("in_graph", [False, True])
def test_errors_that_are_ignored_leave_out_the_bad_clips_alone(fixtures, in_graph):
    Path("clips/empty.wav").write_bytes(b"")
    names = ["gone.wav", "morning.wav", "empty.wav", "gone.wav", "morning.wav"]
    rows = [{"audio": f"clips/{name}", "id": str(number), "n": 1} for number, name in enumerate(names)]
    Path("m.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    found = list(read_audio("m.jsonl", in_graph=in_graph).map(log_mel_map()).ignore_errors())
    assert [clip["id"].numpy() for clip in found] == [b"1", b"4"]


def test_an_input_is_text_a_path_or_a_list(fixtures):
    expected = [clip["id"] for clip in read_audio("clips")]
    for pattern in (Path("clips"), ["clips"], [Path("clips")]):
        assert [clip["id"] for clip in read_audio(pattern)] == expected
        ReadAudio(pattern)
    for pattern in (None, 5, [None]):
        for reading in (read_audio, ReadAudio):
            with pytest.raises(ValueError, match="pattern must be a path or a glob, or a list of them, got"):
                reading(pattern)


@pytest.mark.parametrize("reading", [read_audio, ReadAudio])
def test_what_extract_says_of_an_input_is_a_warning(tmp_path, monkeypatch, reading):
    monkeypatch.chdir(tmp_path)
    for name in ("train-00000-of-00003", "train-00002-of-00003", "test-00000-of-00001"):
        write(f"{name}.tfrecord", [clip(name)])
    Path("notes.md").write_text("of the corpus")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        reading("./*")
    splits, left_out, missing = [str(one.message) for one in told if one.filename == __file__]
    assert splits.startswith("./* has the splits test, train, and their records become one")
    assert left_out == "left out: 1 .md file: ./notes.md"
    assert missing.startswith("of a set of 3 files 1 are missing: ./train-00001-of-00003.tfrecord: was ")


@pytest.mark.filterwarnings("error")
def test_files_that_are_named_one_by_one_are_no_incomplete_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("train-00002-of-00003.tfrecord", [clip("a")])
    ReadAudio("train-00002-of-00003.tfrecord")
