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


def test_what_a_map_refuses(clips):
    log_mel = log_mel_map("gemma4")
    with pytest.raises(ValueError, match=r"elements need a feature 'audio', got \['sound'\]"):
        tf.data.Dataset.from_tensors({"sound": clips[0]}).map(log_mel)
    with pytest.raises(ValueError, match="map before you batch"):
        tf.data.Dataset.from_tensors({"audio": clips[0]}).batch(1).map(log_mel)
    other_rate = tf.data.Dataset.from_tensors({"audio": clips[0], "sampling_rate": 8000}).map(log_mel)
    with pytest.raises(tf.errors.InvalidArgumentError, match="16000 Hz: resample it first"):
        list(other_rate)
