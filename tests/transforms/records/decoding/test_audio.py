"""Blocks to a clip: resampling in blocks is resampling at once; what no recording has is refused."""

import numpy as np
import pytest
import soxr

from melbeam.transforms.records.audio_bounds import EACH
from melbeam.transforms.records.decoding.audio import MonoStream, check_values
from melbeam.transforms.records.rejects import Reject

RATE = 16000
NOISE = (0.1 * np.random.default_rng(7).standard_normal(300_001)).astype(np.float32)


def streamed(samples, rate, block, sampling_rate=RATE):
    stream = MonoStream(source_rate=rate, sampling_rate=sampling_rate)
    for start in range(0, len(samples), block):
        stream.write(samples[start : start + block, np.newaxis])
    return stream.audio().samples


@pytest.mark.parametrize("rate", [1000, 8000, 11025, 22050, 24000, 44100, 48000, 96000, 655_350, 768_000])
@pytest.mark.parametrize("block", [7, 1152, 65536])
@pytest.mark.parametrize("length", [200, 9001, 300_001])
def test_blocks_are_resampled_as_the_whole_is(rate, block, length):
    """To within float32's rounding, and to the same length; soxr has given the same bits so far."""
    if length // block > 2000 or (rate == 1000 and length > 9001):
        length = 9001
    clip = NOISE[:length]
    expected = soxr.resample(clip, rate, RATE, quality="HQ")
    if not len(expected):
        with pytest.raises(Reject, match="no samples are left"):
            streamed(clip, rate, block)
        return
    samples = streamed(clip, rate, block)
    assert samples.shape == expected.shape
    np.testing.assert_allclose(samples, expected, rtol=0, atol=2e-7)  # 0.5 has a spacing of 6e-8


def test_blocks_do_not_show():
    whole = streamed(NOISE, RATE, len(NOISE))
    for block in (1, 13, 4096):
        np.testing.assert_array_equal(streamed(NOISE[:5000], RATE, block), whole[:5000])
    assert whole.dtype == np.float32
    assert whole.flags.writeable


@pytest.mark.parametrize("channel", ["mean", "each", 1])
@pytest.mark.parametrize("rate", [RATE, 44100])
def test_a_clip_of_one_block_is_that_of_many(channel, rate):
    """Most clips come in one block, which is resampled by another function of soxr, to the same bits."""
    stereo = np.stack([NOISE, np.roll(NOISE, 1) * np.float32(0.3)], axis=1)
    found = []
    for block in (len(stereo), 4096):
        stream = MonoStream(source_rate=rate, num_channels=2, sampling_rate=RATE, channel=channel)
        for start in range(0, len(stereo), block):
            stream.write(stereo[start : start + block])
        found.append(stream.audio().samples)
    np.testing.assert_array_equal(*found)
    assert all(samples.flags.c_contiguous and samples.flags.writeable for samples in found)


def test_channels_are_averaged_in_float64():
    stereo = np.stack([NOISE, np.roll(NOISE, 1) * np.float32(0.3)], axis=1)
    stream = MonoStream(source_rate=RATE, num_channels=2, sampling_rate=RATE)
    stream.write(stereo)
    audio = stream.audio(cut_short=True)
    np.testing.assert_array_equal(audio.samples, stereo.astype("f8").mean(axis=1).astype(np.float32))
    assert (audio.source_rate, audio.resampled, audio.mixed_down, audio.cut_short) == (RATE, False, True, True)


@pytest.mark.parametrize(("rate", "channels"), [(999, 1), (768_001, 1), (RATE, 65), (RATE, 0)])
def test_a_header_that_lies_is_refused(rate, channels):
    with pytest.raises(Reject, match="outside") as reject:
        MonoStream(source_rate=rate, num_channels=channels, sampling_rate=RATE)
    assert reject.value.reason == "bad_audio"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (np.nan, "not_finite", "sample 12 is nan"),
        (np.inf, "not_finite", "sample 12 is inf"),
        (-np.inf, "not_finite", "sample 12 is -inf"),
        (16.001, "out_of_range", "sample 12 is 16.001, beyond 16"),
        (-32768.0, "out_of_range", "sample 12 is -32768"),
        (16.0, None, ""),
        (-16.0, None, ""),
    ],
)
def test_values_that_no_recording_has(value, reason, detail):
    values = np.zeros((9, 2), np.float32)
    values[2, 1] = value
    if reason is None:
        check_values(values, 10)
        return
    with pytest.raises(Reject) as reject:
        check_values(values, 10)
    assert reject.value.reason == reason
    assert reject.value.detail.startswith(detail)


def test_a_clip_is_refused_as_soon_as_it_is_too_long():
    stream = MonoStream(source_rate=RATE, sampling_rate=RATE, max_seconds=1)
    stream.write(NOISE[:RATE, np.newaxis])
    with pytest.raises(Reject, match="longer than 1 s") as reject:
        stream.write(NOISE[:1, np.newaxis])
    assert reject.value.reason == "over_limit"


def test_channels_that_come_out_count_together_and_the_reject_says_how():
    stream = MonoStream(source_rate=RATE, num_channels=2, sampling_rate=RATE, max_seconds=1, channel=EACH)
    with pytest.raises(Reject, match=r"0.510 s in each of 2 channels, which count together .* longer than 1 s"):
        stream.write(np.zeros((8160, 2), np.float32))


def test_a_clip_without_samples_is_empty():
    with pytest.raises(Reject, match="no samples") as reject:
        MonoStream(source_rate=RATE, sampling_rate=RATE).audio()
    assert reject.value.reason == "empty_audio"
