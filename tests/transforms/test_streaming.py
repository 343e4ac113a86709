"""Long audio: streams and clips computed in pieces equal the one-shot result."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from melbeam.transforms import AudioConverter, FeatureStream, FrontEnd
from melbeam.transforms.log_mel import log_mel_spectrogram

STREAMABLE = ["gemma4", "gemma4_documented", "gemma3n"]
# The plain graph rounds otherwise: by 2e-7, and by more in the logarithm of Gemma 3n's quiet bins.
NEAR = {"rtol": 0, "atol": 1e-6}


@pytest.fixture(scope="module")
def noise():
    return (0.1 * np.random.default_rng(9).standard_normal(16000)).astype("float32")


@pytest.fixture(scope="module")
def converters():
    """By name and by seconds that the front end takes."""
    return {
        (name, longest): AudioConverter(
            FrontEnd.load(name).replace(max_audio_length=longest), pad_to_max_length=False
        )
        for name in STREAMABLE
        for longest in (None, 0.2)
    }


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(STREAMABLE),
    longest=st.sampled_from([None, 0.2]),
    length=st.one_of(st.integers(0, 700), st.integers(2900, 3600)),
    cuts=st.lists(st.integers(0, 3600), max_size=12),
)
def test_a_stream_equals_the_clip_with_any_chunking(assert_same, converters, noise, name, longest, length, cuts):
    clip, converter = noise[:length], converters[name, longest]
    stream = converter.stream()
    pieces = np.split(clip, sorted(min(cut, length) for cut in cuts))
    found = np.concatenate([*[stream.push(piece) for piece in pieces], stream.finish()])
    expected = converter(clip).numpy()
    assert found.shape == expected.shape
    assert_same(found, expected)


@pytest.mark.parametrize(("name", "others"), [("gemma4", {}), ("gemma4_documented", {"count_partial_hop": True})])
@pytest.mark.parametrize("piece", [1, 97, 4000])
def test_samples_between_frames_are_passed_over(assert_same, noise, name, others, piece):
    # With a hop longer than a frame, no frame hears some of the samples.
    sparse = FrontEnd.load(name).replace(hop_length=700, max_audio_length=0.2, **others)
    clip, converter = noise[:3200], AudioConverter(sparse, pad_to_max_length=False)
    stream = converter.stream()
    pieces = [stream.push(clip[start : start + piece]) for start in range(0, len(clip), piece)]
    assert_same(np.concatenate([*pieces, stream.finish()]), converter(clip))


def test_frames_come_as_soon_as_their_samples_do(converters, noise):
    stream = converters["gemma4", None].stream()
    assert [len(stream.push(piece)) for piece in np.split(noise, 10)] == [9, 10, 10, 10, 10, 10, 10, 10, 10, 10]
    assert stream.finish().shape == (0, 128)


def test_a_stream_takes_the_dtypes_of_a_converter(assert_same, converters, noise):
    whole = (noise * 32768).astype("int16")
    stream = converters["gemma4", None].stream()
    found = np.concatenate([stream.push(whole), stream.finish()])
    assert_same(found, converters["gemma4", None](whole))


def test_what_a_stream_refuses(converters, noise):
    with pytest.raises(ValueError, match=r"front end 'whisper' cannot be streamed: compression 'log10_clamp'"):
        AudioConverter("whisper").stream()
    stream = FeatureStream(FrontEnd.load("gemma4"))
    with pytest.raises(ValueError, match=r"samples must be \[num_samples\], got shape \(1, 16000\)"):
        stream.push(noise[None])
    stream.finish()
    with pytest.raises(ValueError, match="finished"):
        stream.push(noise)
    with pytest.raises(ValueError, match="finished"):
        stream.finish()


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMABLE)
def test_a_long_clip_in_pieces_equals_the_one_shot_result(assert_same, converters, noise, name):
    converter = converters[name, None]
    clip = np.resize(noise, 2_200_321) * np.linspace(0.1, 1, 2_200_321, dtype="float32")
    found = converter(clip).numpy()
    front_end = converter.front_end
    at_once = log_mel_spectrogram(tf.constant(clip[None]), front_end, "float64", front_end.num_frames(len(clip)))
    np.testing.assert_allclose(found, at_once[0], **NEAR)
    batch = np.stack([clip, clip])
    with_lengths = converter(batch, lengths=[1_500_000, len(clip)]).numpy()
    assert_same(with_lengths[1], found)
    alone = converter(clip[:1_500_000]).numpy()
    assert_same(with_lengths[0, : len(alone)], alone)
    with pytest.raises(ValueError, match="lengths must be from 0 to 2200321"):
        converter(batch, lengths=[-1, 5])


@pytest.mark.slow
def test_ten_hours_take_little_memory_beyond_samples_and_features(tmp_path):
    script = """
import os, threading, time
import numpy as np
from melbeam.transforms import AudioConverter, FrontEnd
front_end = FrontEnd.load("gemma4").replace(max_audio_length=None)
converter = AudioConverter(front_end, pad_to_max_length=False)
noise = (0.1 * np.random.default_rng(0).standard_normal(160_000)).astype("float32")
converter(np.resize(noise, 2_200_000))
samples = np.resize(noise, 10 * 3600 * 16000)
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before = peak = resident()
def watch():
    global peak
    while True:
        peak = max(peak, resident())
        time.sleep(0.01)
threading.Thread(target=watch, daemon=True).start()
features = converter(samples)
assert features.shape == (3599999, 128), features.shape
extra = peak - before - 4 * 3599999 * 128
assert extra < 500e6, f"{extra / 1e6:.0f} MB beyond samples and features"
print(f"{extra / 1e6:.0f} MB")
"""
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    subprocess.run([sys.executable, "-c", script], check=True)
