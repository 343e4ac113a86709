"""What `model_inputs` refuses, and of which front end it takes features; the models are in tests/parity."""

from importlib.util import find_spec

import numpy as np
import pytest
import tensorflow as tf

from melbeam.transforms import FeatureSource, FrontEnd, model_inputs, read_features

ADVICE = "takes features of its own front end"


def test_batches_are_dicts_of_arrays(several_shards):
    source = FeatureSource(several_shards)
    for batch in (source[0], next(iter(read_features(several_shards)))):
        with pytest.raises(ValueError, match=r"must be one array, \[batch, frames, mels\], got shape \(99, 128\)"):
            model_inputs(batch, "keras_hub/gemma4")
    for batch in ([source[0], source[1]], source, None):
        with pytest.raises(ValueError, match=rf"a batch is a dict of arrays, got a {type(batch).__name__}: read"):
            model_inputs(batch, "keras_hub/gemma4")


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ([["a", "b"], ["c"]], r"row 0 must be one text, str or bytes, got \['a', 'b'\]"),
        (np.array([[b"a", b""]] * 2, object), r"row 0 must be one text, str or bytes, got \[b'a', b''\]"),
        (["a", None], "row 1 must be one text, str or bytes, got None"),
        (np.array([1, 2]), "row 0 must be one text, str or bytes, got 1"),
        ([b"a", b"\xff"], r"row 1 must be UTF-8, got b'\\xff'"),
        (["a"], "1 texts for a batch of 2"),
        (3, "must be a text for all rows, or one a row, got 3"),
    ],
)
def test_each_row_has_one_text(texts, told):
    """A list would be learned as it is written, "['a', 'b']", and what is missing as "None"."""
    batch = {"input_features": np.zeros((2, 3000, 80), "float32")}
    with pytest.raises(ValueError, match=f"prompts:? {told}"):
        model_inputs(batch, "keras_hub/whisper", tokenizer=object(), prompts=texts)


def test_a_response_has_no_place_for_a_clip():
    batch = {name: np.ones(2, int) for name in ("num_frames", "num_audio_tokens")}
    batch["input_features"] = np.zeros((2, 4, 128), "float32")
    with pytest.raises(ValueError, match=r"responses: row 1 holds <\|audio\|>, the place of a clip"):
        model_inputs(batch, "keras_hub/gemma4", tokenizer=object(), responses=["a", "b <|audio|>"])


class TestTheFrontEndOfTheFeatures:
    def batch(self, front_end, *, kind=np.array):
        found = FrontEnd.load(front_end)
        return {
            "input_features": np.zeros((2, 4, found.num_mels), "float32"),
            "num_frames": np.array([4, 3]),
            "front_end": kind([found.fingerprint[:16].encode()] * 2),
        }

    @pytest.mark.parametrize("kind", [np.array, list, tf.constant])
    @pytest.mark.parametrize("model", ["gemma4", "gemma3n", "whisper"])
    @pytest.mark.parametrize("front_end", FrontEnd.shipped())
    def test_is_the_models(self, model, front_end, kind):
        batch = self.batch(front_end, kind=kind)
        if front_end.startswith(model):
            assert len(model_inputs(batch, f"keras_hub/{model}")) > 0
        else:
            with pytest.raises(ValueError, match=f"of front end '{front_end}'; keras_hub/{model} {ADVICE}"):
                model_inputs(batch, f"keras_hub/{model}")

    def test_in_a_dataset_too(self):
        dataset = tf.data.Dataset.from_tensors(self.batch("gemma4"))
        assert set(next(iter(dataset.map(lambda batch: model_inputs(batch, "keras_hub/gemma4"))))) == {
            "audio_mel",
            "audio_mel_mask",
        }
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"keras_hub/gemma3n {ADVICE}"):
            next(iter(dataset.map(lambda batch: model_inputs(batch, "keras_hub/gemma3n"))))

    def test_may_be_one_of_somebodys_own(self):
        batch = self.batch("gemma4")
        own = FrontEnd.load("gemma4").replace(per_bin_mean=[1.0] * 128)
        batch["front_end"] = np.array([own.fingerprint[:16].encode()] * 2)
        assert len(model_inputs(batch, "keras_hub/gemma4")) == 2
        del batch["front_end"]
        assert len(model_inputs(batch, "keras_hub/gemma3n")) == 2


@pytest.mark.skipif(find_spec("torch") is not None, reason="PyTorch is installed")
def test_without_pytorch_it_says_what_to_install(several_shards):
    batch = next(read_features(several_shards, batch_size=2).as_numpy_iterator())
    with pytest.raises(ImportError, match=r"pip install 'melbeam\[torch\]'"):
        model_inputs(batch, "transformers/gemma4")
