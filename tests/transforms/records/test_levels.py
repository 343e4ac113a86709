"""Levels against what sines, square waves and silence have by definition."""

import numpy as np
import pytest

from melbeam.transforms.records.levels import FLOOR_DBFS, levels

RATE = 16000
TIME = np.arange(RATE) / RATE


@pytest.mark.parametrize("amplitude", [1.0, 0.5, 1e-3])
def test_a_sine_is_3_db_below_its_peak(amplitude):
    found = levels((amplitude * np.sin(2 * np.pi * 100 * TIME)).astype(np.float32), RATE)
    assert found["peak_dbfs"] == pytest.approx(20 * np.log10(amplitude), abs=2e-3)  # stored to 0.001 dB
    assert found["rms_dbfs"] == pytest.approx(20 * np.log10(amplitude / np.sqrt(2)), abs=2e-3)


def test_digital_silence_has_the_floor_and_no_infinity():
    found = levels(np.zeros(RATE, np.float32), RATE)
    assert found == {
        "rms_dbfs": FLOOR_DBFS,
        "peak_dbfs": FLOOR_DBFS,
        "full_scale_fraction": 0.0,
        "silent_fraction": 1.0,
    }


def test_samples_at_full_scale_are_counted():
    samples = np.zeros(1000, np.float32)
    samples[:10], samples[10:15] = 32767 / 32768, -1.0
    samples[15:100] = 32766 / 32768
    assert levels(samples, RATE)["full_scale_fraction"] == 0.015


@pytest.mark.parametrize(("quiet_seconds", "expected"), [(0, 0.0), (0.25, 0.25), (0.9, 0.9)])
def test_blocks_below_60_db_are_silence(quiet_seconds, expected):
    samples = 0.1 * np.sin(2 * np.pi * 200 * TIME)
    samples[: int(quiet_seconds * RATE)] *= 0.9e-2  # -63.9 dBFS
    assert levels(samples.astype(np.float32), RATE)["silent_fraction"] == expected


@pytest.mark.parametrize("length", [1, 159, 160, 161])
def test_short_clips_have_levels(length):
    found = levels(np.full(length, -0.5, np.float32), RATE)
    assert (found["rms_dbfs"], found["peak_dbfs"]) == (-6.021, -6.021)
    assert found["silent_fraction"] == 0.0
    assert levels(np.zeros(length, np.float32), RATE)["silent_fraction"] == 1.0
