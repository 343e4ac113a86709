"""Every shipped front end against the float64 oracle and against the references' own output."""

import functools
import hashlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from melbeam.transforms import AudioConverter, FrontEnd, Gemma4AudioConverter
from melbeam.transforms.log_mel import mel_spectrogram, pad, rows_below

GOLDENS = Path(__file__).parents[1] / "data" / "goldens"
SIGNALS = ["speech", "noise", "tones", "chirp", "silence", "impulse", "full"]
LENGTHS = [*range(1, 482), 479999, 480000, 480001]
FRONT_ENDS = ["gemma4", "gemma4_documented", "gemma3n", "whisper", "whisper_large_v3"]

# float32 rounds at 6e-8 and a frame sums 512 products: 2e-6 of its largest mel value leaves a factor of ten
# over the 3e-7 seen. A power is a square, which doubles relative errors. A tone outside the bank's band rounds
# too, so there the frame's largest spectral value counts.
FLOAT32_LIMIT = {"magnitude": 2e-6, "power": 4e-6}

# How far its own rounding takes each reference from exact mathematics, in the quiet bins beside a loud tone and on
# the other signals. No golden may be further off, so that a broken golden cannot hide a broken converter.
REFERENCES = [
    ("keras-hub-documented", "gemma4_documented", 2.2e-4, 6e-5),
    ("keras-hub", "gemma4", 7.4e-4, 6e-5),
    ("transformers", "gemma4", 7.4e-4, 6e-5),
    ("transformers-gemma3n", "gemma3n", 2.2e-1, 1.2e-3),
    ("transformers-whisper", "whisper", 2e-7, 2e-7),
    ("transformers-whisper_large_v3", "whisper_large_v3", 2e-7, 2e-7),
]
LOUD_TONES = ["tones", "chirp"]


@pytest.fixture(scope="module")
def converters():
    return {
        (name, precision): AudioConverter(name, precision=precision)
        for name in FRONT_ENDS
        for precision in ("float64", "float32")
    }


@pytest.fixture(scope="module")
def exact(oracle, signals):
    """The oracle's features of a front end and a signal, computed once."""
    return functools.cache(lambda name, signal: getattr(oracle, name)(signals[signal]))


@pytest.mark.parametrize("name", FRONT_ENDS)
@pytest.mark.parametrize("signal", SIGNALS)
def test_float64_is_exact(converters, exact, signals, name, signal):
    expected = exact(name, signal)
    found = converters[name, "float64"](signals[signal]).numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_float64_is_exact_at_every_short_length(converters, oracle, signals, name):
    short = [n for n in LENGTHS if n < 482]
    batch = np.zeros((len(short), 481), np.float32)
    for row, n in zip(batch, short, strict=True):
        row[:n] = signals["noise"][:n]
    unpadded = AudioConverter(name, pad_to_max_length=False)
    found = unpadded(batch, lengths=np.array(short)).numpy()
    # 0.1 s in place of 30, for speed: silence from frame 4 on, and the end is reflected behind frame 8 only.
    # The shortest clips have no valid frame, yet their samples show in the padded result.
    padded = AudioConverter(FrontEnd.load(name).replace(max_audio_length=0.1))(batch).numpy()
    for row, padded_row, n in zip(found, padded, short, strict=True):
        valid = unpadded.num_frames(n)
        expected = getattr(oracle, name)(signals["noise"][:n], rows=10)
        np.testing.assert_allclose(padded_row[:8], expected[:8], rtol=0, atol=1e-5)
        np.testing.assert_allclose(row[:valid], expected[:valid], rtol=0, atol=1e-5)
        alone = unpadded(signals["noise"][:n]).numpy()
        np.testing.assert_allclose(alone, expected[:valid], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", FRONT_ENDS)
@pytest.mark.parametrize("length", [479801, 479999, 480000, 480001])
def test_float64_is_exact_around_the_longest_clip(converters, oracle, signals, name, length):
    samples = np.resize(signals["full"], length)
    found = converters[name, "float64"](samples).numpy()
    np.testing.assert_allclose(found, getattr(oracle, name)(samples), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", FRONT_ENDS)
@pytest.mark.parametrize("signal", SIGNALS)
def test_float32_errs_by_its_rounding_alone(oracle, signals, name, signal):
    expected = getattr(oracle, f"{name}_mel")(signals[signal])
    front_end = FrontEnd.load(name)
    rows = pad(tf.constant(signals[signal][None]), front_end, front_end.padded_frames + rows_below(front_end))
    found = mel_spectrogram(rows, front_end, "float32")[0].numpy()
    loudness = oracle.gemma3n_spectrum(signals[signal]) if name == "gemma3n" else expected
    largest = loudness.max(axis=1, keepdims=True)
    error = np.abs(found - expected) / np.where(largest > 0, largest, 1)
    assert error.max() <= FLOAT32_LIMIT[front_end.spectrum]


@pytest.mark.parametrize(("reference", "name", "on_loud_tones", "elsewhere"), REFERENCES)
@pytest.mark.parametrize("signal", SIGNALS)
def test_as_near_to_the_reference_as_its_own_rounding(
    converters, exact, signals, reference, name, on_loud_tones, elsewhere, signal
):
    golden = np.load(GOLDENS / f"{reference}.npz")
    samples_hash = hashlib.sha256(signals[signal].tobytes()).hexdigest()
    assert samples_hash == golden[f"{signal}_sha256"], "the signal changed: run make_goldens.py again"
    rows, features = golden["rows"], golden[signal]
    kept = np.isfinite(features).all(axis=1)
    steps = -(-len(signals[signal]) // 160)
    # The masks of a clip padded to 30 s; the others have none.
    valid = {"transformers": steps - 1, "transformers-gemma3n": min(steps, 2997)}.get(reference, 3000)
    np.testing.assert_array_equal(kept, rows < valid)
    assert (np.ptp(features[kept]) > 0.5) == (signal != "silence"), "the rows kept do not show the signal"
    expected = exact(name, signal)[rows[kept]]
    ours = converters[name, "float64"](signals[signal]).numpy()[rows[kept]]
    its_error = np.abs(features[kept] - expected).max()
    assert its_error <= (on_loud_tones if signal in LOUD_TONES else elsewhere)
    assert np.abs(ours - features[kept]).max() <= its_error + 1e-5


@pytest.mark.parametrize("name", FRONT_ENDS)
@pytest.mark.parametrize("length", [161, 400, 16000, 47999, 479999, 480000])
def test_unpadded_is_the_prefix_of_padded(assert_same, converters, signals, name, length):
    samples = signals["full"][:length]
    unpadded = AudioConverter(name, pad_to_max_length=False)
    found = unpadded(samples).numpy()
    assert len(found) == unpadded.num_frames(length)
    assert_same(found, converters[name, "float64"](samples).numpy()[: len(found)])


def test_frames_and_tokens_follow_the_published_rules():
    checkpoint, documented = FrontEnd.load("gemma4"), FrontEnd.load("gemma4_documented")
    for n in range(0, 480001, 7):
        valid = max(0, -(-n // 160) - 1)
        assert checkpoint.num_frames(n) == valid
        assert checkpoint.num_audio_tokens(n) == min(750, -(-valid // 4))
        assert documented.num_frames(n) == n // 160
    assert [checkpoint.num_frames(n) for n in (160, 161, 16000, 480000, 490000)] == [0, 1, 99, 2999, 2999]


@pytest.mark.parametrize(
    ("name", "frames", "tokens"),
    [
        ("gemma3n", {0: 0, 512: 0, 513: 1, 16000: 97, 16001: 98, 480000: 2997, 490000: 2997}, 188),
        ("whisper", {0: 0, 1: 1, 160: 1, 161: 2, 16000: 100, 480000: 3000, 490000: 3000}, None),
        ("whisper_large_v3", {0: 0, 160: 1, 161: 2, 480001: 3000}, None),
    ],
)
def test_frames_and_tokens_of_the_other_models(name, frames, tokens):
    """As transformers' masks have them (`make parity` compares every step)."""
    front_end = FrontEnd.load(name)
    assert {n: front_end.num_frames(n) for n in frames} == frames
    assert {front_end.num_audio_tokens(n) for n in frames} == {tokens}
    found = AudioConverter(name).mask(list(frames), 3000).numpy().sum(axis=1)
    assert found.tolist() == list(frames.values())


def test_the_published_example():
    second = np.random.default_rng(0).standard_normal(16000).astype("float32")
    assert Gemma4AudioConverter()(second).shape == (3000, 128)
    assert Gemma4AudioConverter(pad_to_max_length=False)(second).shape == (100, 128)
    assert Gemma4AudioConverter(pad_to_max_length=False)(np.stack([second] * 4)).shape == (4, 100, 128)
