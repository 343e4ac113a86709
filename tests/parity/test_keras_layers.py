"""Our converter where keras-hub's stands: preprocessors, models, files. `make parity` runs this."""

import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from melbeam.transforms import AudioConverter, FrontEnd, Gemma3nAudioConverter, Gemma4AudioConverter
from melbeam.transforms.presets import built_in, load_preset

keras_hub = pytest.importorskip("keras_hub", reason="keras-hub is there in `make parity` only")
keras = pytest.importorskip("keras")

from melbeam.transforms import keras_layers  # noqa: E402
from melbeam.transforms.keras_layers import (  # noqa: E402
    AudioConverterLayer,
    Gemma3nAudioConverterLayer,
    Gemma4AudioConverterLayer,
    WhisperAudioConverterLayer,
)

# On noise, which has no quiet bins, the references' float32 errs by up to 6e-5.
LIKE_KERAS_HUB = {"rtol": 0, "atol": 1e-4}
# A functional model's and a file's graph are the eager one's, at other lengths.
SAME = {"rtol": 0, "atol": 1e-6}

WITH_GEMMA3N = pytest.mark.skipif(
    not hasattr(keras_hub.layers, "Gemma3nAudioConverter"), reason="keras-hub 0.27 has no audio of Gemma 3n"
)

LAYERS = {
    "gemma4": lambda: Gemma4AudioConverterLayer.from_preset("gemma4_2b"),
    "gemma4 of the page": lambda: Gemma4AudioConverterLayer(),
    "gemma4 unpadded, in half precision": lambda: Gemma4AudioConverterLayer(
        num_mels=64, max_frequency=6000.0, pad_to_max_length=False, dtype="bfloat16", name="ears"
    ),
    "gemma3n": lambda: Gemma3nAudioConverterLayer(),
    "gemma3n padded, without a mask": lambda: Gemma3nAudioConverterLayer(
        pad_to_max_length=True, return_attention_mask=False
    ),
    "whisper": lambda: WhisperAudioConverterLayer(max_audio_length=5),
    "any": lambda: AudioConverterLayer(FrontEnd.load("gemma4").replace(hop_length=80, max_audio_length=3)),
}


@pytest.fixture(scope="module")
def noise():
    return (0.1 * np.random.default_rng(4).standard_normal((2, 16000))).astype("float32")


def arrays(found):
    return [tf.cast(part, tf.float32).numpy() for part in tf.nest.flatten(found)]


def assert_same(found, expected):
    assert len(arrays(found)) == len(arrays(expected))
    for one, other in zip(arrays(found), arrays(expected), strict=True):
        np.testing.assert_allclose(one, other, **SAME)


def keras_hub_config(converter):
    """The configuration without the keys that are ours."""
    ours = ("front_end", "pad_to_max_length", "precision", "max_audio_length")
    return {key: value for key, value in converter.get_config().items() if key not in ours}


@pytest.fixture(params=LAYERS)
def layer(request):
    return LAYERS[request.param]()


class TestAsAnyLayer:
    def test_computes_what_its_converter_does(self, layer, noise, tmp_path):
        expected = layer.converter(noise)
        assert_same(tf.nest.flatten(layer(noise))[0], expected)
        assert tf.nest.flatten(layer(noise))[0].dtype == layer.compute_dtype
        assert layer.audio_shape() == layer.converter.audio_shape()
        soundfile.write(tmp_path / "clip.wav", noise[0], layer.sampling_rate, subtype="FLOAT")
        assert_same(layer.features_of_file(tmp_path / "clip.wav"), layer.converter(noise[0]))
        assert_same(layer(noise[0], training=False), tf.nest.map_structure(lambda part: part[0], layer(noise)))

    def test_is_deserialised_equal(self, layer, noise):
        config = json.loads(json.dumps(keras.layers.serialize(layer)))
        for copy in (keras.layers.deserialize(config), type(layer).from_config(layer.get_config())):
            assert type(copy) is type(layer)
            assert copy.get_config() == layer.get_config()
            assert_same(copy(noise), layer(noise))

    @pytest.mark.parametrize("kind", ["sequential", "functional"])
    def test_in_a_model_and_its_file(self, layer, noise, kind, tmp_path):
        inputs = keras.Input((None,))
        if kind == "sequential":
            if layer.name.startswith("gemma3n") and layer.return_attention_mask:
                pytest.skip("a sequential model has one output")
            model = keras.Sequential([inputs, layer])
        else:
            model = keras.Model(inputs, layer(inputs))
        for output, found in zip(model.outputs, arrays(layer(noise)), strict=True):
            assert all(size in (None, real) for size, real in zip(output.shape, found.shape, strict=True))
        assert_same(model(noise), layer(noise))
        model.save(tmp_path / "model.keras")
        assert_same(keras.models.load_model(tmp_path / "model.keras")(noise), layer(noise))

    def test_samples_that_a_sequential_model_casts_are_warned_of(self, noise):
        keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            layer, inputs = AudioConverterLayer("gemma4"), keras.Input((None,))
            functional = keras.Model(inputs, layer(inputs))
            sequential = keras.Sequential([layer])
        finally:
            keras.config.set_dtype_policy("float32")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert_same(functional(noise), layer(noise))
        with pytest.warns(UserWarning, match="audio comes in bfloat16, as Keras' Sequential casts it"):
            assert np.abs(sequential(noise).numpy() - layer(noise).numpy()).max() > 0

    def test_a_list_of_arrays_beside_tensors(self, layer, noise):
        expected = layer([noise[0], noise[1, :9000]])
        assert_same(layer([tf.constant(noise[0]), noise[1, :9000]]), expected)
        assert_same(layer([noise[0].tolist(), tf.constant(noise[1, :9000])]), expected)

    def test_in_a_dataset_of_ragged_batches(self, layer, noise):
        clips = [noise[0], noise[1, :9000]]
        dataset = tf.data.Dataset.from_generator(lambda: clips, output_signature=tf.TensorSpec([None], tf.float32))
        found = next(iter(dataset.ragged_batch(2).map(layer)))
        expected = layer.converter(noise, lengths=[16000, 9000])
        assert_same(tf.nest.flatten(found)[0], expected)


class TestWhereKerasHubsStands:
    def test_gemma4(self, noise):
        theirs = keras_hub.layers.Gemma4AudioConverter(mel_floor=1e-3, per_bin_mean=[0.5] * 128)
        self.check(theirs, Gemma4AudioConverterLayer.from_config(theirs.get_config()), noise)
        plain = Gemma4AudioConverter.from_config(theirs.get_config())
        np.testing.assert_allclose(plain(noise), theirs(noise), **LIKE_KERAS_HUB)

    def test_whisper(self, noise):
        theirs = keras_hub.layers.WhisperAudioConverter(max_audio_length=5)
        self.check(theirs, WhisperAudioConverterLayer.from_config(theirs.get_config()), noise)

    def check(self, theirs, ours, noise):
        np.testing.assert_allclose(ours(noise), theirs(noise), **LIKE_KERAS_HUB)
        dataset = tf.data.Dataset.from_tensor_slices(noise)
        for one, other in zip(dataset.map(ours), dataset.map(theirs), strict=True):
            np.testing.assert_allclose(one, other, **LIKE_KERAS_HUB)
        for key, value in theirs.get_config().items():
            assert key in ("name", "dtype", "trainable") or (getattr(ours, key), ours.get_config()[key]) == (
                value,
                value,
            )

    @WITH_GEMMA3N
    @pytest.mark.parametrize("lengths", [(16000, 16000), (16000, 7777)])
    def test_gemma3n_with_its_mask(self, noise, lengths):
        theirs = keras_hub.layers.Gemma3nAudioConverter(**keras_hub_config(Gemma3nAudioConverter()))
        ours = Gemma3nAudioConverterLayer.from_config(theirs.get_config())
        batch = noise * (np.arange(16000) < np.array(lengths)[:, None])
        # keras-hub's own cannot say how long a row is: its mask counts zeros behind a clip too.
        features, mask = theirs(batch, padding="longest")
        found, found_mask = ours(batch, padding="longest", max_length=480000, pad_to_multiple_of=128)
        np.testing.assert_allclose(
            found, features, rtol=0, atol=2e-3
        )  # Gemma 3n's own distance on noise is 1.2e-3
        np.testing.assert_array_equal(found_mask, mask)
        assert found_mask.dtype == tf.int32
        _, by_length = ours(batch, lengths=list(lengths))
        assert np.asarray(by_length).sum(axis=1).tolist() == [ours.converter.num_frames(n) for n in lengths]
        with pytest.raises(ValueError, match="pad_to_multiple_of = 1 is not known here"):
            ours(batch, pad_to_multiple_of=1)
        with pytest.raises(ValueError, match="max_length = 160000 is not known here"):
            ours(batch, max_length=160000)

    @WITH_GEMMA3N
    def test_presets_need_no_network_and_nobody_elses_change(self):
        for family, cls in keras_layers.LAYERS.items():
            assert set(cls.presets) == set(built_in(family))
        assert type(AudioConverterLayer.from_preset("whisper_base_en")) is WhisperAudioConverterLayer
        layer = AudioConverterLayer.from_preset("gemma4_instruct_4b", name="ears", precision="float32", stride=80)
        assert (type(layer), layer.name, layer.precision) == (Gemma4AudioConverterLayer, "ears", "float32")
        assert layer.front_end == FrontEnd.load("gemma4").replace(hop_length=80)
        for name in ("Gemma4", "Gemma3n", "Whisper"):
            backbone = getattr(keras_hub.models, f"{name}Backbone")
            found = keras_hub.src.utils.preset_utils.find_subclass(
                "any", keras_hub.layers.AudioConverter, backbone
            )
            assert found is getattr(keras_hub.layers, f"{name}AudioConverter")

    def test_what_it_saves_as_a_preset(self, tmp_path, noise):
        layer = Gemma4AudioConverterLayer.from_preset("gemma4_2b")
        layer.save_to_preset(tmp_path / "checkpoint")
        assert load_preset(tmp_path / "checkpoint").front_end.fingerprint == FrontEnd.load("gemma4").fingerprint
        documented = Gemma4AudioConverterLayer()
        (tmp_path / "page").mkdir()
        documented.save_to_preset(tmp_path / "page")
        content = json.loads((tmp_path / "page" / "audio_converter.json").read_text())
        assert content["registered_name"] == "melbeam>Gemma4AudioConverterLayer"
        loaded = load_preset(tmp_path / "page")
        assert (loaded.front_end.fingerprint, loaded.family) == (documented.front_end.fingerprint, "gemma4")
        assert_same(keras.layers.deserialize(content)(noise), documented(noise))

    @WITH_GEMMA3N
    def test_whether_the_mask_is_returned_is_saved_too(self, tmp_path):
        Gemma3nAudioConverterLayer(return_attention_mask=False).save_to_preset(tmp_path)
        assert not Gemma3nAudioConverterLayer.from_preset(tmp_path).return_attention_mask
        assert not AudioConverterLayer.from_preset(tmp_path).return_attention_mask
        assert not keras_hub.layers.Gemma3nAudioConverter.from_preset(str(tmp_path)).return_attention_mask


class TestGemma4Preprocessor:
    @pytest.fixture(scope="class")
    def tokenizer(self):
        mocks = pytest.importorskip("keras_hub.src.tests.mocks.mock_gemma4_tokenizer")
        tokenizer = mocks.MockGemma4Tokenizer()
        if not hasattr(tokenizer, "audio_placeholder_id"):
            pytest.skip("the tokenizer of keras-hub 0.27's own tests has no audio")
        return tokenizer

    def preprocessor(self, tokenizer, converter):
        return keras_hub.models.Gemma4CausalLMPreprocessor(
            tokenizer=tokenizer,
            image_converter=None,
            audio_converter=converter,
            sequence_length=64,
            max_images_per_prompt=0,
            num_vision_tokens_per_image=0,
        )

    @pytest.mark.parametrize(
        "ours",
        [AudioConverter.from_preset, Gemma4AudioConverter.from_preset, Gemma4AudioConverterLayer.from_preset],
    )
    def test_gives_what_keras_hubs_gives(self, tokenizer, noise, ours):
        theirs = self.preprocessor(tokenizer, keras_hub.layers.Gemma4AudioConverter(mel_floor=1e-3))
        ours = self.preprocessor(tokenizer, ours("gemma4_2b"))
        prompts = ["the quick <|audio|>", "brown <|audio|>"]
        for call in ("generate_preprocess", "__call__"):
            x = {"prompts": prompts, "audio": noise}
            if call == "__call__":
                x["responses"] = ["fox", "round"]
            found, expected = getattr(ours, call)(x), getattr(theirs, call)(x)
            if call == "__call__":
                found, expected = found[0], expected[0]
            assert found.keys() == expected.keys()
            assert found["audio_mel"].shape == expected["audio_mel"].shape
            for key, value in expected.items():
                np.testing.assert_allclose(found[key], value, **LIKE_KERAS_HUB, err_msg=key)

    def test_with_the_layer_its_configuration_goes_round(self, tokenizer):
        ours = self.preprocessor(tokenizer, Gemma4AudioConverterLayer.from_preset("gemma4_2b"))
        config = {**ours.get_config(), "tokenizer": None}
        audio = keras.layers.deserialize(json.loads(json.dumps(config["audio_converter"])))
        assert audio.front_end == ours.audio_converter.front_end
        assert isinstance(audio, Gemma4AudioConverterLayer)


@WITH_GEMMA3N
def test_gemma3ns_preprocessor_gives_what_keras_hubs_gives(noise):
    mocks = pytest.importorskip("keras_hub.src.tests.mocks.mock_gemma3n_tokenizer")
    config = keras_hub_config(Gemma3nAudioConverter())
    theirs, ours = (
        keras_hub.models.Gemma3nCausalLMPreprocessor(
            tokenizer=mocks.MockGemma3nTokenizer(),
            image_converter=None,
            audio_converter=converter,
            sequence_length=64,
            max_images_per_prompt=0,
            num_vision_tokens_per_image=0,
            max_audios_per_prompt=1,
            num_audio_tokens_per_audio=5,
        )
        for converter in (keras_hub.layers.Gemma3nAudioConverter(**config), Gemma3nAudioConverterLayer())
    )
    x = {
        "prompts": ["the quick <start_of_audio>", "brown <start_of_audio>"],
        "audios": tf.RaggedTensor.from_tensor(noise),
    }
    found, expected = ours.generate_preprocess(x), theirs.generate_preprocess(x)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        # Gemma 3n's own distance on noise is 1.2e-3.
        np.testing.assert_allclose(found[key], value, rtol=0, atol=2e-3, err_msg=key)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_on_another_backend_it_works_inside_tf_data(noise, tmp_path, backend):
    pytest.importorskip(backend, reason="another backend of Keras; `make test-models` has PyTorch")
    np.save(tmp_path / "noise.npy", noise)
    code = f"""
import keras, numpy as np, tensorflow as tf
from melbeam.transforms.keras_layers import Gemma3nAudioConverterLayer, Gemma4AudioConverterLayer
noise = np.load({str(tmp_path / "noise.npy")!r})
assert keras.config.backend() == {backend!r}
layer = Gemma4AudioConverterLayer.from_preset("gemma4_2b", pad_to_max_length=False)
found = next(iter(tf.data.Dataset.from_tensor_slices(noise).batch(2).map(layer)))
np.save({str(tmp_path / "found.npy")!r}, found.numpy())
assert layer(keras.Input((16000,))).shape == (None, 99, 128)
features, mask = Gemma3nAudioConverterLayer()(keras.Input((None,)))
assert (features.shape, mask.dtype) == ((None, None, 128), "int32")
"""
    subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "KERAS_BACKEND": backend}, check=True, timeout=300
    )
    expected = AudioConverter("gemma4", pad_to_max_length=False)(noise)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, **SAME)


@pytest.mark.parametrize("shape", [(None, 1), (16000, 2)])
@pytest.mark.parametrize("layer", [Gemma4AudioConverterLayer, Gemma3nAudioConverterLayer])
def test_a_placeholder_with_channels_is_refused_where_the_model_is_made(layer, shape):
    with pytest.raises(ValueError, match=r"audio must be \[num_samples\] or \[batch, num_samples\], got shape"):
        layer()(keras.Input(shape))
