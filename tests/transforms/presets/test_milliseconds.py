"""Frames in milliseconds, as the published models have them."""

from melbeam.transforms import FrontEnd
from melbeam.transforms.presets.milliseconds import frames_from_milliseconds


def test_the_frames_of_the_published_models():
    for name, milliseconds, fft_overdrive in (("gemma4", 20.0, False), ("gemma3n", 32.0, True)):
        front_end = FrontEnd.load(name)
        found = frames_from_milliseconds(16000, milliseconds, 10.0, fft_overdrive=fft_overdrive)
        assert found == (front_end.frame_length, front_end.hop_length, front_end.fft_length)


def test_a_frame_of_no_samples_has_an_fft_nevertheless():
    assert frames_from_milliseconds(8000, 0.01, 10.0, fft_overdrive=False) == (0, 80, 1)
