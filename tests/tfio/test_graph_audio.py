"""Decoding inside the graph with tensorflow-io: `make test-tfio`, in an environment of its own."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

pytestmark = pytest.mark.tfio
pytest.importorskip("tensorflow_io")

from helpers import encode  # noqa: E402
from melbeam.pipelines.sources import read_audio  # noqa: E402
from melbeam.transforms import AudioConverter, log_mel_map  # noqa: E402
from melbeam.transforms.graph_audio import decode_in_graph  # noqa: E402
from melbeam.transforms.records.decoding import decode_audio  # noqa: E402

# Two decoders of one lossy stream round otherwise; 16-bit samples are 3e-5 apart.
LOSSY = 2e-6
RATES = [8000, 16000, 22050, 24000, 32000, 44100, 48000]


@pytest.fixture(scope="module")
def in_graph():
    return tf.function(decode_in_graph, autograph=False)


def noise(rate, channels, seconds=1.3):
    samples = np.random.default_rng(rate).standard_normal((round(seconds * rate), channels)) / 10
    return samples * np.linspace(0.2, 1, channels)


def test_its_operations_load():
    import tensorflow_io

    data = encode(noise(16000, 1), 16000, "FLAC")
    assert tensorflow_io.audio.decode_flac(data, dtype=tf.int16).shape == (20800, 1)


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_flac_has_the_bits_of_the_default_decoder(in_graph, rate, channels, subtype):
    data = encode(noise(rate, channels), rate, "FLAC", subtype)
    expected = decode_audio(data, sampling_rate=rate).samples
    np.testing.assert_array_equal(in_graph(tf.constant(data), rate), expected)


@pytest.mark.parametrize("kind", ["MP3", "OGG"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_lossy_formats_are_within_the_bound(in_graph, rate, channels, kind):
    data = encode(noise(rate, channels), rate, kind)
    expected = decode_audio(data, sampling_rate=rate).samples
    found = in_graph(tf.constant(data), rate).numpy()
    assert len(found) == len(expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=LOSSY)


def test_an_mp3_behind_a_tag(in_graph):
    data = encode(noise(44100, 1), 44100, "MP3")
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, 2, 44]) + bytes(300)
    expected = decode_audio(data, sampling_rate=44100).samples
    np.testing.assert_allclose(in_graph(tf.constant(tag + data), 44100), expected, rtol=0, atol=LOSSY)


@pytest.mark.parametrize("kind", ["FLAC", "MP3", "OGG"])
def test_resampled_they_are_within_the_bound(in_graph, kind):
    time = np.arange(2 * 44100) / 44100
    data = encode(0.3 * np.sin(2 * np.pi * 700 * time) + 0.2 * np.sin(2 * np.pi * 5100 * time), 44100, kind)
    expected = decode_audio(data, sampling_rate=16000).samples
    found = in_graph(tf.constant(data), 16000).numpy()
    assert len(found) == len(expected)
    np.testing.assert_allclose(found[500:-500], expected[500:-500], rtol=0, atol=2e-4)


@pytest.mark.parametrize("data", [b"OggS" + bytes(60), encode(noise(48000, 1), 48000, "OGG", "OPUS")])
def test_another_ogg_is_told(in_graph, data):
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="WAV, FLAC, MP3 and Ogg Vorbis are decoded in a graph"
    ):
        in_graph(tf.constant(data), 16000)


@pytest.fixture
def folder(tmp_path):
    for name, kind in (("a.wav", "WAV"), ("b.flac", "FLAC"), ("c.mp3", "MP3"), ("d.ogg", "OGG")):
        (tmp_path / name).write_bytes(encode(noise(16000, 1), 16000, kind))
    return tmp_path


def test_read_audio_in_the_graph(folder):
    default, in_the_graph = (
        list(read_audio(f"{folder}/", in_graph=in_graph).map(log_mel_map())) for in_graph in (False, True)
    )
    assert [clip["id"].numpy() for clip in in_the_graph] == [b"a.wav", b"b.flac", b"c.mp3", b"d.ogg"]
    for mine, other in zip(in_the_graph, default, strict=True):
        np.testing.assert_array_equal(mine["num_frames"], other["num_frames"])
        np.testing.assert_allclose(mine["input_features"], other["input_features"], rtol=0, atol=1e-3)
    for number in (0, 1):
        np.testing.assert_array_equal(in_the_graph[number]["input_features"], default[number]["input_features"])


def test_an_exported_model_takes_bytes_where_melbeam_is_not_imported(folder):
    converter = AudioConverter("gemma4", pad_to_max_length=False)
    converter.export(folder / "model", from_bytes=True)
    script = """
import sys, glob, numpy as np, tensorflow as tf
from tensorflow_io.python.ops import core_ops; dir(core_ops)
model = tf.saved_model.load(sys.argv[1] + "/model")
files = [open(path, "rb").read() for path in sorted(glob.glob(sys.argv[1] + "/?.*"))]
found = model.signatures["from_bytes"](contents=tf.constant(files))
np.savez(sys.argv[1] + "/found.npz", **{name: value.numpy() for name, value in found.items()})
assert not [name for name in sys.modules if name.startswith("melbeam")]
"""
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True, timeout=300)
    found = np.load(folder / "found.npz")
    for number, path in enumerate(sorted(folder.glob("?.*"))):
        clip = decode_audio(path.read_bytes(), sampling_rate=16000).samples
        assert found["num_frames"][number] == converter.num_frames(len(clip))
        expected = converter(clip).numpy()
        np.testing.assert_allclose(found["input_features"][number, : len(expected)], expected, rtol=0, atol=1e-3)
