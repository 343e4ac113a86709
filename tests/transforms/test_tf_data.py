"""tf.data: features on the fly."""

import numpy as np
import pytest
import tensorflow as tf

from melbeam.transforms import AudioConverter, log_mel_map


@pytest.fixture(scope="module")
def clips():
    random = np.random.default_rng(12)
    return [(3000 * random.standard_normal(n)).astype("int16") for n in (16000, 8000, 12345, 4000, 9999)]


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
    with pytest.raises(ValueError, match="map before you batch"):
        tf.data.Dataset.from_tensors({"audio": tf.ragged.constant([[0.1], [0.2, 0.3]])}).map(log_mel)
    with pytest.raises(ValueError, match="must be dicts with a feature 'audio', got a tuple of 2: name what they"):
        tf.data.Dataset.from_tensors((clips[0], 1)).map(log_mel)
    with pytest.raises(ValueError, match="elements have num_frames already, which is made here"):
        tf.data.Dataset.from_tensors({"audio": clips[0], "num_frames": 3}).map(log_mel)
    with pytest.raises(TypeError, match="got a dict of array, sampling_rate: pass its samples"):
        tf.data.Dataset.from_tensors({"audio": {"array": clips[0], "sampling_rate": 16000}}).map(log_mel)
    with pytest.raises(TypeError, match=r"got a sparse tensor: tf\.sparse\.to_dense"):
        tf.data.Dataset.from_tensors({"audio": tf.sparse.from_dense(clips[0])}).map(log_mel)
    other_rate = tf.data.Dataset.from_tensors({"audio": clips[0], "sampling_rate": 8000}).map(log_mel)
    with pytest.raises(tf.errors.InvalidArgumentError, match="16000 Hz: resample it first"):
        list(other_rate)


def test_other_columns_of_every_kind_go_through(clips):
    others = {"id": {"speaker": 3}, "words": tf.ragged.constant([["a"], ["b", "c"]]), "tags": (1, 2)}
    (element,) = tf.data.Dataset.from_tensors({"audio": clips[0], **others}).map(log_mel_map("gemma4"))
    assert int(element["id"]["speaker"]) == 3
    assert element["words"].to_list() == [[b"a"], [b"b", b"c"]]
    assert [int(tag) for tag in element["tags"]] == [1, 2]


def test_a_map_takes_an_array_outside_a_dataset(clips):
    found = log_mel_map("gemma4")({"audio": clips[0]})
    (expected,) = tf.data.Dataset.from_tensors({"audio": clips[0]}).map(log_mel_map("gemma4"))
    np.testing.assert_allclose(found["input_features"], expected["input_features"], rtol=0, atol=1e-6)


def test_a_model_without_a_mask_gets_its_full_length(clips):
    (element,) = tf.data.Dataset.from_tensors({"audio": clips[1]}).map(log_mel_map("whisper"))
    np.testing.assert_allclose(element["input_features"], AudioConverter("whisper")(clips[1]), rtol=0, atol=1e-6)
    assert (element["input_features"].shape, int(element["num_frames"])) == ((3000, 80), 50)
