"""Decoding and resampling inside the graph, on any TensorFlow: WAV, and every rate. tests/tfio has the rest."""

import numpy as np
import pytest
import tensorflow as tf

from helpers import encode
from melbeam.transforms import AudioConverter
from melbeam.transforms.graph_audio import RATES, decode_in_graph
from melbeam.transforms.records.decoding import decode_audio

# Where the rates have a small ratio soxr's filter and ours agree to 3e-7; else soxr interpolates its filter, by
# which its samples move by some 1e-4. In the last tenth both begin to fall, each in its way.
BELOW_NINE_TENTHS, ANYWHERE = 2e-4, 0.02


@pytest.fixture(scope="module")
def in_graph():
    return tf.function(decode_in_graph, autograph=False)


def tones(rate, num_samples, highest):
    """Eight tones below a part of the lower Nyquist frequency; their peak is below 0.8."""
    random = np.random.default_rng(rate)
    frequencies = random.uniform(20, highest * min(rate, 16000) / 2, 8)
    time = np.arange(num_samples)[:, np.newaxis] / rate
    return 0.1 * np.sin(2 * np.pi * frequencies * time + random.uniform(0, 6, 8)).sum(axis=1)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_wav_has_the_bits_of_the_default_decoder(in_graph, channels):
    samples = np.random.default_rng(1).integers(-(2**15), 2**15, (8001, channels), "int16")
    data = encode(samples)
    expected = decode_audio(data, sampling_rate=16000).samples
    np.testing.assert_array_equal(in_graph(tf.constant(data), 16000), expected)


@pytest.mark.parametrize("rate", [rate for rate in RATES if rate != 16000])
def test_every_rate_is_resampled_as_by_default(in_graph, rate):
    num_samples = rate + 7
    for highest, limit in ((0.9, BELOW_NINE_TENTHS), (1.0, ANYWHERE)):
        data = encode(tones(rate, num_samples, highest), rate, subtype="PCM_16")
        expected = decode_audio(data, sampling_rate=16000).samples
        found = in_graph(tf.constant(data), 16000).numpy()
        assert len(found) == len(expected)
        # At its ends a clip begins and stops at once, which is content of all frequencies.
        inner = slice(500, -500)
        np.testing.assert_allclose(found[inner], expected[inner], rtol=0, atol=limit)
        np.testing.assert_allclose(found, expected, rtol=0, atol=ANYWHERE)


@pytest.mark.parametrize("num_samples", [2, 3, 159, 441, 442, 1000])
@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_short_clips_have_the_length_that_they_have_by_default(in_graph, rate, num_samples):
    data = encode(np.full(num_samples, 0.25), rate)
    assert len(in_graph(tf.constant(data), 16000)) == len(decode_audio(data, sampling_rate=16000).samples)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "decoded in a graph, not"),
        (b"no audio at all", "decoded in a graph, not"),
        (encode(np.zeros(100), 12345), "resampled in a graph are Hz"),
    ],
)
def test_what_it_does_not_take_is_told(in_graph, data, told):
    with pytest.raises(tf.errors.InvalidArgumentError, match=told):
        in_graph(tf.constant(data), 16000)


def test_an_exported_model_takes_bytes(tmp_path):
    converter = AudioConverter("gemma4", pad_to_max_length=False)
    converter.export(tmp_path, from_bytes=True)
    files = [
        encode(tones(rate, 2 * rate + extra, 0.8), rate) for rate, extra in ((16000, 0), (44100, 5), (8000, 99))
    ]
    clips = [decode_audio(data, sampling_rate=16000).samples for data in files]
    found = tf.saved_model.load(str(tmp_path)).signatures["from_bytes"](contents=tf.constant(files))
    assert found["num_frames"].numpy().tolist() == [converter.num_frames(len(clip)) for clip in clips]
    for row, frames, clip in zip(found["input_features"], found["num_frames"], clips, strict=True):
        # In quiet bins a logarithm makes much of the resampling's 1e-4; no resampling, no difference beyond 1e-6.
        difference = np.abs(row[:frames] - converter(clip))
        assert np.median(difference) < 1e-2
    np.testing.assert_allclose(
        found["input_features"][0, : found["num_frames"][0]], converter(clips[0]), rtol=0, atol=2e-6
    )
