"""tf.data: features on the fly, and those that a job wrote."""

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from melbeam.pipelines import extract
from melbeam.pipelines.tfrecord import TFRecordWriter
from melbeam.transforms import AudioConverter, log_mel_map, read_features
from melbeam.transforms.records.examples import to_example


@pytest.fixture(scope="module")
def clips():
    random = np.random.default_rng(12)
    return [(3000 * random.standard_normal(n)).astype("int16") for n in (16000, 8000, 12345, 4000, 9999)]


@pytest.fixture(scope="module")
def written(tmp_path_factory, clips):
    """A folder of the clips' features, in two shards."""
    folder = tmp_path_factory.mktemp("tf_data")
    for shard, indices in enumerate(((0, 1, 2), (3, 4))):
        with open(folder / f"audio-{shard}", "wb") as file:
            writer = TFRecordWriter(file)
            for i in indices:
                wav = folder / "clip.wav"
                soundfile.write(wav, clips[i], 16000)
                writer.write(to_example({"audio": wav.read_bytes(), "id": f"clip-{i}", "speaker": f"s{i}"}))
    status = extract.main([f"--input={folder}/audio-*", f"--output={folder}/features"])
    assert status == 0
    return folder / "features"


@pytest.mark.parametrize("padded", [False, True])
def test_a_map_computes_what_the_converter_does(clips, padded):
    def elements():
        for i, clip in enumerate(clips):
            yield {"audio": clip, "id": str(i), "sampling_rate": 16000}

    signature = {
        "audio": tf.TensorSpec([None], tf.int16),
        "id": tf.TensorSpec([], tf.string),
        "sampling_rate": tf.TensorSpec([], tf.int64),
    }
    dataset = tf.data.Dataset.from_generator(elements, output_signature=signature)
    dataset = dataset.map(log_mel_map("gemma4", pad_to_max_length=padded), num_parallel_calls=2)
    assert dataset.element_spec["input_features"].shape.as_list() == [3000 if padded else None, 128]
    converter = AudioConverter("gemma4", pad_to_max_length=padded)
    for i, (element, clip) in enumerate(zip(dataset, clips, strict=True)):
        assert set(element) == {"input_features", "num_frames", "id", "sampling_rate"}
        assert element["id"].numpy() == str(i).encode()
        assert element["num_frames"].dtype == tf.int64
        assert element["num_frames"].numpy() == converter.num_frames(len(clip))
        np.testing.assert_allclose(element["input_features"], converter(clip), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "bad", [[0.1, np.nan] * 500, [0.1, -np.inf] * 500, np.full(1000, 3000.0), np.full(1000, 1 << 20)]
)
def test_a_map_checks_what_the_job_would_reject(bad):
    audio = tf.constant(bad, tf.int64 if np.asarray(bad).dtype == np.int64 else tf.float32)
    batch = tf.stack([tf.zeros_like(audio), audio])
    dataset = tf.data.Dataset.from_tensor_slices({"audio": batch, "id": ["good", "the-bad-one"]})
    found = iter(dataset.map(log_mel_map("gemma4")))
    next(found)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"audio must .*its samples are from.*the-bad-one"):
        next(found)
    assert len(list(dataset.map(log_mel_map("gemma4", check_audio=False)))) == 2
    assert len(list(dataset.map(log_mel_map("gemma4")).ignore_errors())) == 1


def test_a_map_without_the_check_lets_nan_through():
    audio = np.zeros(2000, "float32")
    audio[1000] = np.nan
    dataset = tf.data.Dataset.from_tensors({"audio": audio}).map(log_mel_map("gemma4", check_audio=False))
    assert np.isnan(next(iter(dataset))["input_features"]).any()


def test_a_map_of_a_clip_below_one_frame():
    dataset = tf.data.Dataset.from_tensors({"audio": np.zeros(100, "float32")}).map(log_mel_map("gemma4"))
    element = next(iter(dataset))
    assert (element["input_features"].shape, int(element["num_frames"])) == ((0, 128), 0)


def test_what_a_map_refuses(clips):
    log_mel = log_mel_map("gemma4")
    with pytest.raises(ValueError, match=r"elements need a feature 'audio', got \['sound'\]"):
        tf.data.Dataset.from_tensors({"sound": clips[0]}).map(log_mel)
    with pytest.raises(ValueError, match="map before you batch"):
        tf.data.Dataset.from_tensors({"audio": clips[0]}).batch(1).map(log_mel)
    other_rate = tf.data.Dataset.from_tensors({"audio": clips[0], "sampling_rate": 8000}).map(log_mel)
    with pytest.raises(tf.errors.InvalidArgumentError, match="16000 Hz: resample it first"):
        list(other_rate)


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


def test_reading_paths_that_tensorflow_does_not_have():
    with pytest.raises(
        ValueError, match=r"s3://bucket/features/front_end.json: .* copy the folder to this machine"
    ):
        read_features("s3://bucket/features")
