"""Windows and mel banks, in NumPy float64.

`tf.signal.linear_to_mel_weight_matrix` draws its triangles in mel space, which is up to 8e-3 away from what
the models were trained with; here they are drawn in Hz.
"""

from __future__ import annotations

import numpy as np

from melbeam.transforms.front_end import FrontEnd


def hann_window(length: int) -> np.ndarray:
    """The periodic Hann window, 0.5 - 0.5 cos(2 pi n / length): float64 `[length]`."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


def hertz_to_mel(hertz: np.ndarray | float) -> np.ndarray:
    """HTK's mel scale, 2595 log10(1 + f / 700) (the HTK book, section 5.4)."""
    return 2595.0 * np.log10(1.0 + np.asarray(hertz, np.float64) / 700.0)


def mel_to_hertz(mel: np.ndarray | float) -> np.ndarray:
    """Inverse of `hertz_to_mel`."""
    return 700.0 * (10.0 ** (np.asarray(mel, np.float64) / 2595.0) - 1.0)


def mel_bank(front_end: FrontEnd) -> np.ndarray:
    """Triangles in Hz, equally spaced in mel: float64 `[fft_length // 2 + 1, num_mels]`.

    With `mel_norm="slaney"` each triangle is divided by half its width in Hz, so that its area is 1.
    """
    edges = mel_to_hertz(
        np.linspace(
            hertz_to_mel(front_end.min_frequency),
            hertz_to_mel(front_end.max_frequency),
            front_end.num_mels + 2,
        )
    )
    bins = np.arange(front_end.fft_length // 2 + 1) * (front_end.sampling_rate / front_end.fft_length)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    bank = np.maximum(0.0, np.minimum(rising, falling))
    if front_end.mel_norm == "slaney":
        bank *= 2.0 / (edges[2:] - edges[:-2])
    return bank
