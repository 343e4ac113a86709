"""What holds for every front end and every signal, looked for by hypothesis."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from melbeam.transforms import AudioConverter, FrontEnd
from melbeam.transforms.log_mel import log_mel_spectrogram, mel_spectrogram, pad, rows_below
from melbeam.transforms.mel import mel_bank

# Each front end traces a graph of its own, which takes a second: few examples, many properties of each.
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MANY = settings(max_examples=200, deadline=None)


@st.composite
def front_ends(draw, with_maximum=True):
    """Any front end, small enough to be quick."""
    rate = draw(st.sampled_from([8000, 16000, 22050]))
    padding = draw(st.sampled_from(["semicausal", "semicausal_hops", "center", "right"]))
    fft_length = 2 * draw(st.integers(8, 200))
    frame_length = fft_length if padding == "center" else draw(st.integers(8, fft_length))
    hop_length = draw(st.integers(4, 300))
    num_mels = draw(st.integers(1, 40))
    compression = draw(st.sampled_from(["log_add", "log_max", *(["log10_clamp"] if with_maximum else [])]))
    needs_maximum = with_maximum or compression == "log10_clamp"
    shortest = (fft_length + 1 + hop_length) / rate
    low = draw(st.floats(0, rate / 8))
    normalised = draw(st.booleans())
    return FrontEnd(
        name="any",
        sampling_rate=rate,
        frame_length=frame_length,
        hop_length=hop_length,
        fft_length=fft_length,
        num_mels=num_mels,
        min_frequency=low,
        max_frequency=draw(st.floats(rate / 4, rate / 2)),
        mel_floor=draw(st.sampled_from([1e-10, 1e-5, 1e-3])),
        padding=padding,
        spectrum=draw(st.sampled_from(["magnitude", "power"])),
        compression=compression,
        mel_scale=draw(st.sampled_from(["htk", "slaney"])),
        mel_norm=draw(st.sampled_from([None, "slaney"])),
        count_partial_hop=padding == "center" and draw(st.booleans()),
        pad_to_multiple_of=draw(st.integers(1, 200)) if padding == "right" else 1,
        preemphasis=draw(st.sampled_from([0.0, 0.97])),
        preemphasis_htk_flavor=draw(st.booleans()),
        input_scale_factor=draw(st.sampled_from([1.0, 0.5])),
        per_bin_mean=draw(st.lists(st.floats(-5, 5), min_size=num_mels, max_size=num_mels))
        if normalised
        else None,
        per_bin_stddev=draw(st.lists(st.floats(0.5, 5), min_size=num_mels, max_size=num_mels))
        if normalised
        else None,
        max_audio_length=shortest * draw(st.floats(1.01, 6)) if needs_maximum else None,
    )


def noise(seed, length):
    return (0.1 * np.random.default_rng(seed).standard_normal(length)).astype("float32")


@pytest.mark.slow
@FEW
@given(front_end=front_ends(), data=st.data())
def test_batch_prefix_and_finiteness(assert_same, front_end, data):
    longest = front_end.max_samples
    lengths = data.draw(st.lists(st.integers(0, longest + 50), min_size=1, max_size=4))
    width = max(lengths)
    padded, unpadded = AudioConverter(front_end), AudioConverter(front_end, pad_to_max_length=False)
    batch = np.stack([noise(seed, width) for seed in range(len(lengths))])
    together, together_padded = unpadded(batch, lengths=lengths).numpy(), padded(batch, lengths=lengths).numpy()
    assert together_padded.shape == (len(lengths), front_end.padded_frames, front_end.num_mels)
    mask = unpadded.mask(lengths, together.shape[1]).numpy()
    for row, length in enumerate(lengths):
        alone = unpadded(batch[row, :length]).numpy()
        valid = front_end.num_frames(length)
        assert alone.shape == (valid, front_end.num_mels)
        assert mask[row].sum() == valid
        assert_same(together[row, :valid], alone)
        assert_same(together_padded[row, :valid], alone)
    assert np.isfinite(together_padded).all()


def by_numpy(front_end, samples, frames):
    """The features of a clip, `[frames, num_mels]`, straight from the definitions, in float64."""
    longest, left, span = front_end.max_samples, front_end.left_padding, front_end.frame_span
    clip = np.zeros(max(longest or 0, len(samples), left + 1) + frames * front_end.hop_length + span)
    clip[: len(samples)] = samples
    clip = clip[:longest]
    padded = np.pad(clip, left, mode="reflect" if front_end.padding == "center" else "constant")
    padded = np.pad(padded, (0, frames * front_end.hop_length + span))
    rows = []
    for start in range(0, frames * front_end.hop_length, front_end.hop_length):
        frame, p = front_end.input_scale_factor * padded[start : start + span], front_end.preemphasis
        if p and front_end.preemphasis_htk_flavor:
            frame = np.concatenate([frame[:1] * (1 - p), frame[1:] - p * frame[:-1]])
        elif p:
            frame = frame[1:] - p * frame[:-1]
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(front_end.frame_length) / front_end.frame_length)
        spectrum = np.abs(np.fft.rfft(frame * window, front_end.fft_length))
        rows.append(spectrum ** (2 if front_end.spectrum == "power" else 1))
    mel = np.reshape(rows, (frames, -1)) @ mel_bank(front_end)
    if front_end.compression == "log_add":
        return np.log(mel + front_end.mel_floor)
    log_mel = np.log(np.maximum(mel, front_end.mel_floor))
    return log_mel / np.log(10) if front_end.compression == "log10_clamp" else log_mel


@FEW
@given(front_end=front_ends(), data=st.data())
def test_any_front_end_is_what_its_definition_says(front_end, data):
    """On the blocks and on the plain graph, whatever hop, span, flavour and padding."""
    length = data.draw(st.sampled_from([0, 1, front_end.max_samples // 3, front_end.max_samples]))
    samples = noise(length, length)
    expected = by_numpy(front_end, samples, front_end.padded_frames)
    if front_end.compression == "log10_clamp":
        expected = (np.maximum(expected, expected.max() - 8) + 4) / 4
    if front_end.per_bin_mean is not None:
        expected = (expected - front_end.per_bin_mean) / front_end.per_bin_stddev
    found = AudioConverter(front_end)(samples).numpy()
    # float32 rounds a logarithm of 23 at 2e-6; a stddev of 0.5 doubles that.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    plain = log_mel_spectrogram(tf.constant(samples[None]), front_end, "float64", front_end.padded_frames)[0]
    np.testing.assert_allclose(plain, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
@FEW
@given(
    front_end=front_ends(with_maximum=False), scale=st.sampled_from([1e-3, 0.25, 3.0, 1e4]), seed=st.integers(0, 9)
)
def test_mel_values_grow_with_the_signal_and_silence_gives_the_floor(front_end, scale, seed):
    signal = noise(seed, 3 * front_end.fft_length)
    mels = [
        mel_spectrogram(pad(audio[None], front_end, 2 + rows_below(front_end)), front_end, "float64").numpy()
        for audio in (signal.astype("float64"), signal.astype("float64") * scale)
    ]
    power = 2 if front_end.spectrum == "power" else 1
    np.testing.assert_allclose(mels[1], mels[0] * scale**power, rtol=1e-5, atol=1e-5 * mels[1].max())
    silence = AudioConverter(front_end, pad_to_max_length=False)(np.zeros_like(signal)).numpy()
    expected = np.full(front_end.num_mels, math.log(front_end.mel_floor))
    if front_end.per_bin_mean is not None:
        expected = (expected - front_end.per_bin_mean) / front_end.per_bin_stddev
    np.testing.assert_allclose(silence, np.broadcast_to(expected, silence.shape), rtol=0, atol=2e-5)


@pytest.mark.slow
@FEW
@given(
    front_end=front_ends(),
    samples=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=300),
    precision=st.sampled_from(["float64", "float32"]),
)
def test_finite_input_of_audio_level_gives_finite_output(front_end, samples, precision):
    largest = max(map(abs, samples))
    samples = np.asarray(samples, "float32") / max(1.0, largest / 1e4)  # far beyond full scale
    assert np.isfinite(AudioConverter(front_end, precision=precision)(samples)).all()


@MANY
@given(front_end=front_ends())
def test_round_trips_keep_the_fingerprint(front_end):
    for copy in (FrontEnd.from_yaml(front_end.to_yaml()), FrontEnd.from_dict(front_end.to_dict())):
        assert copy == front_end
        assert copy.fingerprint == front_end.fingerprint


@MANY
@given(front_end=front_ends(), first=st.integers(0, 5000), more=st.integers(0, 5000))
def test_more_samples_never_give_fewer_frames(front_end, first, more):
    frames = front_end.num_frames(first), front_end.num_frames(first + more)
    assert 0 <= frames[0] <= frames[1] <= max(front_end.padded_frames, front_end.num_frames(front_end.max_samples))


@MANY
@given(
    front_end=front_ends(),
    field=st.sampled_from(
        [f.name for f in dataclasses.fields(FrontEnd) if f.type in ("int", "float", "float | None")]
    ),
    value=st.one_of(
        st.sampled_from([0, -1, 0.5, True, "x", "", None, [], {}, 1e300, -1e300, 2**70]),
        st.floats(allow_nan=True, allow_infinity=True),
    ),
)
def test_validation_takes_what_the_mathematics_can_and_names_what_it_cannot(front_end, field, value):
    try:
        changed = front_end.replace(**{field: value})
    except ValueError as error:
        assert "must" in str(error)  # noqa: PT017 (either outcome is right, so pytest.raises does not fit)
        return
    # What was taken can be computed: no NaN in the bank, at least one frame.
    assume(max(changed.max_samples or 10**9, changed.fft_length, changed.num_mels) < 100_000)
    assert np.isfinite(mel_bank(changed)).all()
    assert changed.padded_frames >= 1
