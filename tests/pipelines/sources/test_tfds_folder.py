"""Audio that a TFDS data set keeps as samples: its shape and its type are in features.json alone."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import RATE
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources.planning import read_unit
from melbeam.pipelines.sources.segments import wav_bytes
from melbeam.pipelines.tfrecord import TFRecordWriter
from melbeam.transforms.records.examples import read_audio_example, to_example

STEREO = (np.random.default_rng(7).standard_normal((400, 2)) * 3000).astype(np.int16)
MONO = STEREO[:, 0]
_CLASSES = "tensorflow_datasets.core.features."


def tensor(*dimensions: int, dtype: str = "int16", encoding: str = "none") -> dict[str, Any]:
    shape = {"dimensions": [str(dimension) for dimension in dimensions]} if dimensions else {}
    described = {"dtype": dtype, "encoding": encoding, "shape": shape}
    return {"pythonClassName": f"{_CLASSES}tensor_feature.Tensor", "tensor": described}


def audio(*dimensions: int, dtype: str = "int16") -> dict[str, Any]:
    shape = {"dimensions": [str(dimension) for dimension in dimensions]}
    described = {"dtype": dtype, "encoding": "NONE", "sampleRate": str(RATE), "shape": shape}
    return {"pythonClassName": f"{_CLASSES}audio_feature.Audio", "audio": described}


def sequence(inner: dict[str, Any]) -> dict[str, Any]:
    return {
        "pythonClassName": f"{_CLASSES}sequence_feature.Sequence",
        "sequence": {"feature": inner, "length": "-1"},
    }


def of_before(features: dict[str, Any]) -> dict[str, Any]:
    """A features.json as earlier versions of TFDS wrote it: classes with their arguments, or with a message."""
    return {"type": f"{_CLASSES}features_dict.FeaturesDict", "content": features}


def arguments(of_class: str, dtype: str = "int64", **others: Any) -> dict[str, Any]:
    return {"type": _CLASSES + of_class, "content": {"dtype": dtype, **others}}


def message(feature: dict[str, Any], as_text: bool = False) -> dict[str, Any]:
    (kind,) = feature.keys() - {"pythonClassName"}
    content = json.dumps(feature[kind]) if as_text else feature[kind]
    return {"type": feature["pythonClassName"], "content": content, "proto_cls": "tensorflow_datasets.Feature"}


@pytest.fixture
def read_samples(read, tmp_path, monkeypatch):
    """Writes one record as TFDS would, and reads it as the job does: `[num_samples, num_channels]`."""
    monkeypatch.chdir(tmp_path)

    def read_one(feature: dict[str, Any], values: Any, *, name: str = "audio", **options: Any) -> np.ndarray:
        is_of_today = options.pop("is_of_today", True)
        Path("set").mkdir()
        with open("set/x-train.tfrecord-00000-of-00001", "wb") as file:
            TFRecordWriter(file).write(to_example({name: values}))
        described = {"featuresDict": {"features": {name: feature}}}
        Path("set/features.json").write_text(json.dumps(described if is_of_today else of_before({name: feature})))
        (unit,) = read("set/", pcm_sampling_rate=RATE, **options).units
        (record,) = [item.data for item in read_unit(unit)]
        found = read_audio_example(record, sampling_rate=RATE, pcm_sampling_rate=RATE, channel="each")
        return found.audio.samples

    return read_one


@pytest.mark.parametrize("kind", [np.int64, np.float32])
@pytest.mark.parametrize(
    ("feature", "values"),
    [
        (tensor(-1, 2), STEREO),
        (tensor(2, -1), STEREO.T),
        (tensor(400, 2), STEREO),
        (tensor(2, 400), STEREO.T),
        (sequence(tensor(2)), STEREO),
        (audio(-1, 2), STEREO),
        (audio(2, -1), STEREO.T),
    ],
    ids=["tensor", "planar", "fixed", "fixed planar", "sequence of frames", "audio", "planar audio"],
)
def test_two_channels_are_not_one_of_twice_the_length(read_samples, feature, values, kind):
    scale = 1 if kind is np.int64 else 2.0**-15
    found = read_samples(feature, (values * scale).astype(kind).ravel())
    np.testing.assert_array_equal(found, STEREO / np.float32(32768))


@pytest.mark.parametrize(("encoding", "pack"), [("bytes", bytes), ("zlib", zlib.compress)])
def test_a_tensor_that_is_packed_is_unpacked(read_samples, encoding, pack):
    found = read_samples(tensor(-1, 2, encoding=encoding), pack(STEREO.astype("<i2").tobytes()))
    np.testing.assert_array_equal(found, STEREO / np.float32(32768))


@pytest.mark.parametrize("feature", [tensor(-1), sequence(tensor()), audio(-1), tensor(400), audio(-1, 1)])
def test_one_channel(read_samples, feature):
    np.testing.assert_array_equal(read_samples(feature, MONO.astype(np.int64))[:, 0], MONO / np.float32(32768))


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        ("int8", [-128, 0, 64], [-1, 0, 0.5]),
        ("uint8", [0, 128, 192], [-1, 0, 0.5]),
        ("uint16", [0, 32768, 49152], [-1, 0, 0.5]),
        ("int16", [-32768, 0, 16384], [-1, 0, 0.5]),
    ],
)
def test_the_full_scale_is_that_of_the_type(read_samples, dtype, values, expected):
    found = read_samples(audio(-1, dtype=dtype), np.array(values, np.int64))
    np.testing.assert_array_equal(found[:, 0], np.array(expected, np.float32))


@pytest.mark.parametrize(
    ("feature", "shown"),
    [
        (sequence(sequence(tensor())), "[None, None]"),
        (audio(-1, 2, 2), "[None, 2, 2]"),
        (tensor(-1, 400), "[None, 400]"),
    ],
)
def test_a_shape_that_does_not_say_its_channels_is_refused(read_samples, feature, shown):
    with pytest.raises(ValueError, match="the shape of 'audio' is ") as told:
        read_samples(feature, MONO.astype(np.int64))
    assert shown in str(told.value)


def test_the_values_of_lists_of_lists_are_no_clip(read_samples):
    """Advice to name them, and following it, would read channels one behind the other."""
    columns = {"audio": "audio/ragged_flat_values"}
    with pytest.raises(ValueError, match=r"the shape of 'audio/ragged_flat_values' is \[None, None\]"):
        read_samples(sequence(sequence(tensor())), MONO.astype(np.int64), columns=columns)


def test_a_tensor_of_another_name_is_named(read_samples):
    found = read_samples(
        tensor(2, -1), STEREO.T.astype(np.int64).ravel(), name="speech", columns={"audio": "speech"}
    )
    np.testing.assert_array_equal(found, STEREO / np.float32(32768))


def test_files_in_a_tensor_stay_files(read_samples):
    found = read_samples(tensor(dtype="string"), wav_bytes(STEREO, RATE))
    np.testing.assert_array_equal(found, STEREO / np.float32(32768))


_AUDIO = {"file_format": "wav", "sample_rate": RATE}


@pytest.mark.parametrize(
    "feature",
    [
        arguments("audio_feature.Audio", shape=[None, 2], **_AUDIO),
        arguments("tensor_feature.Tensor", shape=[None, 2]),
        {"type": f"{_CLASSES}sequence_feature.Sequence", "content": {"feature": tensor(2), "length": None}},
        message(audio(-1, 2)),
        message(audio(-1, 2), as_text=True),
        message(tensor(-1, 2)),
    ],
)
def test_what_earlier_versions_of_tfds_wrote_is_no_mono_of_twice_the_length(read_samples, feature):
    found = read_samples(feature, STEREO.astype(np.int64).ravel(), is_of_today=False)
    np.testing.assert_array_equal(found, STEREO / np.float32(32768))


@pytest.mark.parametrize("kind", ["array_record", "parquet"])
def test_records_in_other_files_than_tfrecords_are_refused(tmp_path, read, kind):
    (tmp_path / "features.json").write_text(json.dumps({"featuresDict": {"features": {"audio": audio(-1)}}}))
    (tmp_path / f"x-train.{kind}-00000-of-00001").write_bytes(bytes(99))
    with pytest.raises(UsageError, match=rf"records lie in {kind} files .*tfds convert_format") as error:
        read(tmp_path)
    assert error.value.refusal is Refusal.UNKNOWN_FORMAT
