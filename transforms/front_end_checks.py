"""What the fields of a front end must be to each other, where each by itself is a value of its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from melbeam.transforms.front_end import FrontEnd

# The smallest floor whose logarithm float32 still takes: its smallest normal number.
_SMALLEST_FLOOR = 2.0**-126


def check_together(front_end: FrontEnd) -> None:
    """Refuses a front end whose numbers no computation has, or whose model could not be given them.

    Raises:
        ValueError: it is one; the message has the field, its bound and its value.
    """
    if front_end.frame_length > front_end.fft_length:
        raise ValueError(
            f"frame_length must be at most fft_length = {front_end.fft_length} samples, "
            f"got {front_end.frame_length}"
        )
    if front_end.fft_length < 2 or front_end.fft_length % 2:
        raise ValueError(f"fft_length must be even and at least 2, got {front_end.fft_length}")
    if front_end.padding == "center" and front_end.frame_length != front_end.fft_length:
        raise ValueError(
            f"frame_length must equal fft_length = {front_end.fft_length} where padding is 'center', "
            f"got {front_end.frame_length}"
        )
    nyquist = front_end.sampling_rate / 2
    if not 0 <= front_end.min_frequency < front_end.max_frequency:
        raise ValueError(
            f"min_frequency must be at least 0 and below max_frequency = {front_end.max_frequency} Hz, "
            f"got {front_end.min_frequency}"
        )
    # Whisper's bank ends at 8000 Hz whatever the rate, in keras-hub too: filters above half of it are empty.
    if front_end.max_frequency > nyquist and front_end.compression != "log10_clamp":
        raise ValueError(
            f"max_frequency must be at most half the sampling rate, {nyquist} Hz, got {front_end.max_frequency}"
        )
    if front_end.mel_floor < _SMALLEST_FLOOR:
        raise ValueError(f"mel_floor must be at least {_SMALLEST_FLOOR:.3g}, got {front_end.mel_floor}")
    if not 0 <= front_end.preemphasis <= 1:
        raise ValueError(f"preemphasis must be in [0, 1], got {front_end.preemphasis}")
    if front_end.input_scale_factor <= 0:
        raise ValueError(f"input_scale_factor must be above 0, got {front_end.input_scale_factor}")
    for field, default, padding in (
        ("count_partial_hop", False, "center"),
        ("pad_to_multiple_of", 1, "right"),
    ):
        value = getattr(front_end, field)
        if value != default and front_end.padding != padding:
            raise ValueError(
                f"{field} must be {default} where padding is {front_end.padding!r}, got {value}: it belongs to "
                f"padding {padding!r}"
            )
    if front_end.compression == "log10_clamp" and front_end.max_audio_length is None:
        raise ValueError(
            "max_audio_length must be a number of seconds where compression is 'log10_clamp', got None: "
            "each frame depends on the loudest of the whole clip"
        )
    if front_end.takes_full_length and front_end.max_audio_length is None:
        raise ValueError(
            "max_audio_length must be a number of seconds where model_takes is 'full_length', got None"
        )
    if front_end.per_bin_stddev is not None and min(front_end.per_bin_stddev) <= 0:
        raise ValueError(f"per_bin_stddev must be above 0 in every bin, got {min(front_end.per_bin_stddev)}")
