"""The front end: validation, round trips, fingerprint, and that importing it is cheap."""

import re
import subprocess
import sys

import pytest

from melbeam.transforms import FrontEnd


@pytest.fixture
def gemma4():
    return FrontEnd.load("gemma4")


def test_shipped_front_ends_load():
    assert FrontEnd.shipped() == ("gemma3n", "gemma4", "gemma4_documented", "whisper", "whisper_large_v3")
    assert all(FrontEnd.load(name).name == name for name in FrontEnd.shipped())


def test_fingerprints_are_pinned():
    # Features on disk carry these: a change makes every folder written before unreadable.
    assert {name: FrontEnd.load(name).fingerprint for name in FrontEnd.shipped()} == {
        "gemma3n": "96ed34fd6d31a4cb8f767ec87a0f5397b76998b5dad3526289e64755a23907a6",
        "gemma4": "8f52391f89d1faf87cbf47138779ec793a0d41caad5e5207d250d19f5fa0d1eb",
        "gemma4_documented": "8eba62ee94aa975a3b0fa74dbb38d47af5bbf0ae4f59bd55f5fecb405cabd491",
        "whisper": "192f64fb4c6840de53d936e9d6cbf489765005dc48fa9fff875e7736f90a14d2",
        "whisper_large_v3": "1d863d7c793e7d5d2a72f99828f71c25e76431dbc6fd985da54f9160dd0ca7ff",
    }


def test_round_trips(gemma4):
    normalised = gemma4.replace(per_bin_mean=[0.1] * 128, per_bin_stddev=[2.0] * 128)
    assert FrontEnd.from_yaml(normalised.to_yaml()) == normalised
    assert FrontEnd.from_dict(normalised.to_dict()) == normalised


def test_fingerprint_sees_values_and_not_their_spelling(gemma4):
    fields = dict(reversed(gemma4.to_dict().items()))
    respelled = FrontEnd.from_dict({**fields, "mel_floor": "1e-3", "sampling_rate": 16000.0, "min_frequency": 0})
    assert respelled.fingerprint == gemma4.fingerprint
    assert gemma4.replace(name="other", max_audio_length=10).fingerprint == gemma4.fingerprint


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frame_length", 400),
        ("hop_length", 80),
        ("fft_length", 1024),
        ("num_mels", 80),
        ("min_frequency", 20.0),
        ("max_frequency", 7600.0),
        ("mel_floor", 1e-5),
        ("spectrum", "power"),
        ("compression", "log_max"),
        ("compression", "log10_clamp"),
        ("mel_scale", "slaney"),
        ("preemphasis", 0.97),
        ("input_scale_factor", 2.0),
        ("mel_norm", "slaney"),
        ("per_bin_mean", [0.0] * 128),
    ],
)
def test_fingerprint_changes_with_what_decides_a_frame(gemma4, field, value):
    assert gemma4.replace(**{field: value}).fingerprint != gemma4.fingerprint


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("sampling_rate", 0, "sampling_rate must be a whole number of at least 1, got 0"),
        ("hop_length", 1.5, "hop_length must be a whole number of at least 1, got 1.5"),
        ("num_mels", True, "num_mels must be a finite number, got True"),
        ("num_mels", "128", "num_mels must be a whole number of at least 1, got '128'"),
        ("num_mels", 1 << 31, "num_mels must be at most 16384, got 2147483648"),
        ("hop_length", 1e300, "hop_length must be at most 16777216, got 1e+300"),
        ("preemphasis", 1.5, "preemphasis must be in [0, 1], got 1.5"),
        ("preemphasis_htk_flavor", "yes", "preemphasis_htk_flavor must be true or false, got 'yes'"),
        ("input_scale_factor", 0, "input_scale_factor must be above 0, got 0.0"),
        ("pad_to_multiple_of", 128, "pad_to_multiple_of must be 1 where padding is 'semicausal', got 128"),
        ("count_partial_hop", True, "count_partial_hop must be False where padding is 'semicausal', got True"),
        ("frame_length", 513, "frame_length must be at most fft_length = 512 samples, got 513"),
        ("fft_length", 513, "fft_length must be even"),
        ("max_frequency", 8000.5, "at most half the sampling rate, 8000.0 Hz, got 8000.5"),
        ("min_frequency", 8000, "below max_frequency = 8000.0 Hz, got 8000.0"),
        ("mel_floor", 1e-60, "mel_floor must be at least"),
        ("mel_floor", float("nan"), "mel_floor must be a finite number, got nan"),
        ("window", "hamming", "window must be one of"),
        ("padding", "center", "frame_length must equal fft_length"),
        ("per_bin_mean", [1.0], "per_bin_mean must have num_mels = 128 values, got 1"),
        ("per_bin_stddev", [0.0] * 128, "per_bin_stddev must be above 0 in every bin, got 0.0"),
        ("max_audio_length", 0.001, "max_audio_length must be at least"),
        ("dither", 0.1, "unknown front end field dither"),
    ],
)
def test_errors_name_field_value_and_bound(gemma4, field, value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        FrontEnd.from_dict({**gemma4.to_dict(), field: value})


@pytest.mark.parametrize("text", ["[1, 2]", "{unclosed", "name: only"])
def test_a_broken_file_is_a_clear_error(tmp_path, text):
    path = tmp_path / "front_end.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"front_end\.yaml"):
        FrontEnd.load(path)
    with pytest.raises(ValueError, match=r"neither a file nor a shipped name \(gemma3n, gemma4, "):
        FrontEnd.load("gemma5")


def test_a_file_that_says_two_things_of_a_field_is_refused(gemma4):
    with pytest.raises(ValueError, match="'mel_floor' is there twice"):
        FrontEnd.from_yaml(gemma4.to_yaml() + "mel_floor: 1.0\n")


def test_importing_transforms_loads_neither_tensorflow_nor_beam():
    code = (
        "import sys, melbeam.transforms as t; t.FrontEnd.load('gemma4');"
        "sys.exit(any(m in sys.modules for m in ('tensorflow', 'apache_beam')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_launcher_does_not_import_tensorflow():
    code = "import sys, melbeam.pipelines.extract, melbeam.pipelines.ingest; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"hop_length": 80}, "gemma4-changed"),
        ({"max_audio_length": 10}, "gemma4-changed"),
        ({"hop_length": 80, "name": "mine"}, "mine"),
        ({"hop_length": 80, "name": "gemma4"}, "gemma4"),
        ({"hop_length": 160, "mel_floor": "1e-3", "min_frequency": -0.0}, "gemma4"),
        ({}, "gemma4"),
    ],
)
def test_a_copy_that_differs_is_no_longer_called_by_the_name(gemma4, changes, name):
    assert gemma4.replace(**changes).name == name


def test_a_copy_of_a_changed_one_is_changed_once(gemma4):
    assert gemma4.replace(hop_length=80).replace(num_mels=64).name == "gemma4-changed"


def test_what_a_model_takes_goes_with_another_compression(gemma4):
    assert gemma4.replace(compression="log10_clamp").model_takes == "full_length"
    assert FrontEnd.load("whisper").replace(compression="log_max").model_takes == "mask"
    told = gemma4.replace(compression="log10_clamp", model_takes="mask")
    assert told.model_takes == "mask"
    assert told.replace(mel_floor=1e-4).model_takes == "mask"
    assert told.replace(compression="log_max").model_takes == "mask"


def test_minus_zero_is_zero(gemma4):
    per_bin = gemma4.replace(per_bin_mean=[0.0] * 128)
    assert gemma4.replace(min_frequency=-0.0, preemphasis="-0.0").fingerprint == gemma4.fingerprint
    assert gemma4.replace(per_bin_mean=[-0.0] * 128).fingerprint == per_bin.fingerprint
    assert "-0" not in gemma4.replace(per_bin_mean=[-0.0] * 128, min_frequency=-0.0).to_yaml()


def test_only_whispers_bank_may_end_above_half_the_rate():
    front_end = FrontEnd.load("whisper").replace(sampling_rate=8000)
    assert front_end.max_frequency == 8000
    with pytest.raises(ValueError, match="at most half the sampling rate, 4000"):
        FrontEnd.load("gemma4").replace(sampling_rate=8000)


@pytest.mark.parametrize(
    ("rate", "seconds", "samples"),
    [(22050, 0.7, 15435), (44100, 0.7, 30870), (16000, 30, 480000), (8000, 1.00006, 8000)],
)
def test_the_longest_clip_has_the_samples_of_its_seconds(gemma4, rate, seconds, samples):
    """Where floating point makes 15434.999999999998 of them, a clip as long as that was cut by one."""
    front_end = gemma4.replace(sampling_rate=rate, max_frequency=4000, max_audio_length=seconds)
    assert front_end.max_samples == samples


def test_whispers_last_hop_counts_where_it_is_whole():
    """As in transformers and keras-hub, which compute n // hop_length frames, and cut the mask to them."""
    front_end = FrontEnd.load("whisper").replace(hop_length=333, max_audio_length=2)
    assert front_end.padded_frames == 32000 // 333 == 96
    assert [front_end.num_frames(n) for n in (1, 333, 334, 31968, 31969, 32000)] == [1, 1, 2, 96, 96, 96]


def test_a_frame_that_begins_behind_the_clip_is_not_valid():
    """As in transformers' mask of Gemma 3n, which has a value for each hop that begins in the clip."""
    front_end = FrontEnd.load("gemma3n").replace(frame_length=48, hop_length=32, fft_length=64)
    assert [front_end.num_frames(n) for n in (9, 32, 33, 800)] == [1, 1, 2, 25]
