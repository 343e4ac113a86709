"""A log-mel spectrogram as a PNG file."""

from __future__ import annotations

import warnings

import numpy as np

from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.words import harmless

_LONGEST_TITLE = 80  # characters


def write_png(path: str, features: np.ndarray, frames_per_second: float, title: str) -> None:
    """Draws features `[frames, num_mels]`, time to the right, and writes the picture.

    Raises:
        UsageError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError(Refusal.NO_PLOTS, "--png draws with matplotlib: pip install 'melbeam[demo]'") from error
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(
        np.asarray(features, np.float32).T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        extent=(0, len(features) / frames_per_second, 0, features.shape[1]),
    )
    shown = harmless(title)
    shown = shown if len(shown) <= _LONGEST_TITLE else f"{shown[:_LONGEST_TITLE]}..."
    axes.set_title(shown, parse_math=False)
    axes.set(xlabel="seconds", ylabel="mel bin")
    figure.colorbar(image, label="log-mel")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of characters that its font lacks
        figure.savefig(path, dpi=130, format="png")
