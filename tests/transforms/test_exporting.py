"""The same graph everywhere: SavedModel, TFLite, XLA, Keras, tf.data and worker processes agree with eager."""

import multiprocessing
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from melbeam.transforms import AudioConverter, FrontEnd
from melbeam.transforms.block_kernel import xla_transforms

FRONT_ENDS = FrontEnd.shipped()


@pytest.fixture(scope="module")
def clips():
    return (0.1 * np.random.default_rng(5).standard_normal((2, 24017))).astype("float32")


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("name", FRONT_ENDS)
def test_xla(clips, name, precision):
    if precision == "float64" and tf.__version__.startswith("2.16."):
        pytest.skip("the XLA of TensorFlow 2.16 has no float64 FFT")
    converter = AudioConverter(name, pad_to_max_length=False, precision=precision)
    found = tf.function(converter, jit_compile=True)(clips)
    # In float32, XLA's other FFT rounds otherwise; Gemma 3n's pre-emphasis makes the low bins quiet, and the
    # logarithm shows it there.
    limit = 5e-4 if (name, precision) == ("gemma3n", "float32") else 1e-5
    np.testing.assert_allclose(found, converter(clips), rtol=0, atol=limit)


@pytest.mark.parametrize("name", FRONT_ENDS)
@pytest.mark.parametrize("padded", [True, False])
def test_tflite_has_built_in_operations_only_and_takes_any_length(tmp_path, clips, name, padded):
    front_end = FrontEnd.load(name)
    if padded:
        front_end = front_end.replace(max_audio_length=2)
    converter = AudioConverter(front_end, pad_to_max_length=padded, precision="float32")
    path = tmp_path / "converter.tflite"
    converter.export_tflite(path)
    interpreter = tf.lite.Interpreter(model_path=str(path))
    audio, features = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    # What comes first has no frames, unpadded: behind such a transform, the next one's values were wrong.
    for batch in (clips[:1, :160], clips[:1, :5000], clips, clips[:1, :16000]):
        interpreter.resize_tensor_input(audio, batch.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(audio, batch)
        interpreter.invoke()
        if 0 in converter(batch).shape:
            continue  # TensorFlow's interpreter in Python hands no empty result out.
        expected = converter(batch).numpy()
        found = interpreter.get_tensor(features)
        assert found.shape == expected.shape
        # As in test_xla; and where the FFT is replaced by a matrix, two roundings of a power are compared: one or
        # two values of 50000 are 1.5e-5 apart.
        limit = {"gemma3n": 5e-4, "gemma4": 1e-5}.get(name, 3e-5)
        np.testing.assert_allclose(found, expected, rtol=0, atol=limit)


@pytest.mark.slow
def test_a_saved_model_needs_no_melbeam(tmp_path, clips):
    converter = AudioConverter("gemma4", pad_to_max_length=False)
    converter.export(tmp_path / "model")
    np.save(tmp_path / "clips.npy", clips)
    script = """
import sys, numpy as np, tensorflow as tf
model, clips = tf.saved_model.load(sys.argv[1] + "/model"), np.load(sys.argv[1] + "/clips.npy")
whole = model.signatures["serving_default"](audio=tf.constant(clips))["input_features"]
short = model.signatures["serving_default"](audio=tf.constant(clips[:1, :9000]))["input_features"]
each = model.signatures["with_lengths"](audio=tf.constant(clips), lengths=tf.constant([9000, 24017]))
np.savez(sys.argv[1] + "/found.npz", whole=whole, short=short, **each)
assert not any(name.startswith("melbeam") for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=tmp_path)
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_allclose(found["whole"], converter(clips), rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["short"], converter(clips[:1, :9000]), rtol=0, atol=1e-5)
    lengths = [9000, 24017]
    np.testing.assert_allclose(found["input_features"], converter(clips, lengths), rtol=0, atol=1e-5)
    assert found["num_frames"].tolist() == [converter.num_frames(n) for n in lengths]
    written = (tmp_path / "model" / "assets.extra" / "front_end.yaml").read_text()
    assert FrontEnd.from_yaml(written) == converter.front_end
    assert converter.front_end.fingerprint in written


@pytest.mark.parametrize("xla", [False, True])
def test_an_exported_graph_is_compiled_only_if_asked(assert_same, tmp_path, clips, xla):
    """Not every server compiles; where one does, the bits are the converter's."""
    converter = AudioConverter("gemma4", pad_to_max_length=False)
    expected = converter(clips).numpy()
    converter.export(tmp_path / "model", xla=xla)
    graph = (tmp_path / "model" / "saved_model.pb").read_bytes()
    assert (b"_XlaMustCompile" in graph) == (xla and xla_transforms("float64"))
    model = tf.saved_model.load(str(tmp_path / "model"))
    found = model.signatures["serving_default"](audio=tf.constant(clips))["input_features"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    if xla:
        assert_same(found, expected)
    # Exporting leaves the converter's own graphs compiled.
    assert_same(tf.function(converter)(clips), expected)


def test_the_first_layer_of_a_keras_model(clips):
    converter = AudioConverter("gemma4", pad_to_max_length=False)
    audio = tf.keras.Input([None], dtype="float32")
    model = tf.keras.Model(audio, tf.keras.layers.Lambda(converter, output_shape=(None, 128))(audio))
    np.testing.assert_allclose(model.predict(clips, verbose=0), converter(clips), rtol=0, atol=1e-5)


def test_in_parallel_in_a_dataset(clips):
    converter = AudioConverter("gemma4", pad_to_max_length=False)
    dataset = tf.data.Dataset.from_tensor_slices(np.tile(clips, (4, 1))).map(converter, num_parallel_calls=4)
    for found, clip in zip(dataset, np.tile(clips, (4, 1)), strict=True):
        np.testing.assert_allclose(found, converter(clip), rtol=0, atol=1e-5)


def test_pickled_into_a_worker_process(clips):
    converter = AudioConverter("gemma4", pad_to_max_length=False)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(_features, (converter, clips))
    np.testing.assert_allclose(found, converter(clips), rtol=0, atol=1e-5)


def _features(converter, clips):
    return converter(clips).numpy()
