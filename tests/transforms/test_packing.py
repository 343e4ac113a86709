"""Clips packed into calls: the features of each are those of the clip alone."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from melbeam.transforms import AudioConverter, FrontEnd
from melbeam.transforms.packing import PackedFeatures

FRONT_ENDS = FrontEnd.shipped()
# None, of no frame, of one, of all kinds of ends, around the longest, beyond one call.
LENGTHS = [0, 1, 150, 161, 400, 513, 9000, 16000, 47999, 30011, 479_799, 479_900, 480_000, 480_001, 700_000, 3]


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(8)
    return [(0.1 * rng.standard_normal(length)).astype("float32") for length in LENGTHS]


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", FRONT_ENDS)
def test_packed_equals_alone(assert_same, clips, name, padded, precision):
    packed = PackedFeatures(FrontEnd.load(name), precision, pad_to_max_length=padded)(clips)
    assert len(packed) == len(clips)
    converter = AudioConverter(name, pad_to_max_length=padded, precision=precision)
    for found, clip in zip(packed, clips, strict=True):
        expected = converter(clip).numpy()
        assert found.dtype == np.float32
        assert found.shape == expected.shape
        assert_same(found, expected, precision)


@pytest.mark.parametrize("name", ["gemma4", "gemma4_documented", "gemma3n"])
def test_a_clip_beyond_one_call_is_computed_piece_by_piece(assert_same, name):
    front_end = FrontEnd.load(name).replace(max_audio_length=None)
    packed = PackedFeatures(front_end)
    rate, seconds = front_end.sampling_rate, packed.seconds_at_once
    clip = (0.1 * np.random.default_rng(1).standard_normal(int(2.7 * seconds * rate))).astype("float32")
    first, whole, last = packed([clip[:5000], clip, clip[-7000:]])
    assert len(whole) == front_end.num_frames(len(clip))
    hop = front_end.hop_length
    start = 100 * (len(whole) // 130)  # of a hop, so that the frames behind are those of the clip cut there
    cut = packed([clip[start * hop :]])[0]
    assert_same(whole[start + 2 :], cut[2:])  # the first two hear what lies in front
    assert_same(first, packed([clip[:5000]])[0])
    assert_same(last, packed([clip[-7000:]])[0])


def test_no_clips_give_no_features():
    assert PackedFeatures(FrontEnd.load("gemma4"))([]) == []


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "float16", "float64"])
def test_samples_of_any_dtype(assert_same, clips, dtype):
    """`to_waveform`, which graphs use, and the packing, which scales as it copies, agree."""
    scale = {"int8": 2**7, "int32": 2**31}.get(dtype, 2**15) if dtype.startswith("int") else 1
    typed = [(clip * 0.5 * scale).astype(dtype) for clip in clips[4:8]]
    packed = PackedFeatures(FrontEnd.load("gemma4"))
    found, expected = packed(typed), packed([clip / np.float64(scale) for clip in typed])
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)


def test_what_is_no_clip_is_refused(clips):
    packed = PackedFeatures(FrontEnd.load("gemma4"))
    with pytest.raises(ValueError, match=r"a clip must be \[num_samples\], got shape \(1, 16000\)"):
        packed([clips[7], clips[7][None]])
    with pytest.raises(TypeError, match="got uint16"):
        packed([clips[7], np.zeros(500, "uint16")])
    with pytest.raises(ValueError, match="no max_audio_length"):
        PackedFeatures(FrontEnd.load("gemma4").replace(max_audio_length=None), pad_to_max_length=True)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_what_is_not_finite_stays_in_its_clip(assert_same, clips, name):
    bad = clips[6].copy()
    bad[-1] = bad[0] = np.nan
    packed = PackedFeatures(FrontEnd.load(name))
    found = packed([clips[7], bad, clips[8], np.full(9000, np.inf, "float32"), clips[9]])
    assert np.isnan(found[1]).any()
    for place, clip in ((0, clips[7]), (2, clips[8]), (4, clips[9])):
        assert_same(found[place], packed([clip])[0])


def test_threads_share_one(assert_same, clips):
    packed = PackedFeatures(FrontEnd.load("whisper"), pad_to_max_length=True)
    expected = packed(clips)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: packed(clips[::-1]), range(8)):
            for one, other in zip(found[::-1], expected, strict=True):
                assert_same(one, other)


def test_results_stay_when_the_buffers_are_used_again(clips):
    packed = PackedFeatures(FrontEnd.load("gemma4"))
    first = packed(clips[6:9])
    kept = [features.copy() for features in first]
    packed([-clip for clip in clips[5:10]])
    for features, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(features, copy)


def test_pickled(assert_same, clips):
    packed = PackedFeatures(FrontEnd.load("gemma3n"), "float32", pad_to_max_length=True)
    found, expected = pickle.loads(pickle.dumps(packed))(clips[:8]), packed(clips[:8])
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other, "float32")
