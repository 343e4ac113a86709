"""Features and their distributions as pictures: `melbeam[report]`.

Each function returns a matplotlib `Figure`, which a notebook shows as it is, and which `savefig` writes::

    source = FeatureSource("features/1.0.0")
    spectrogram(source[0]["input_features"], source.front_end)

`melbeam report`, and the picture of `melbeam demo`, are made of these. Nothing here opens a window or changes
matplotlib's own state.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from melbeam.transforms.distributions import QUANTITIES, Distribution
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.statistics import BinStatistics

try:
    from matplotlib import ticker
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:
    raise ImportError("melbeam.transforms.plots needs matplotlib: pip install 'melbeam[report]'") from error

__all__ = ["Plot", "bins", "histogram", "spectrogram"]

# Colours by what they stand for. No two are the same, so that whoever embeds a figure can put others in place.
INK, GRID = "#4a5361", "#e3e7ec"
SERIES = ("#2563a8", "#c2571a", "#2d7d5a", "#8a4fa3")
_COLOUR_MAP = "magma"
_FONT_SIZE = 8.5  # points
_MIN_BARS, _MAX_BARS = 8, 64
# This share of the records at either end may be gathered in one bar, where it lies far from all others.
_OUTLIERS = 0.05
# Where the highest bar is so many times the lowest one, heights are drawn on a logarithmic scale.
_LOGARITHMIC_FROM = 200


class Plot(Figure):
    """A figure that a notebook shows without pyplot."""

    def __init__(self, width: float, height: float) -> None:
        """Makes an empty figure of so many inches."""
        super().__init__(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=144, facecolor="white")
        return file.getvalue()


def spectrogram(
    features: Any,
    front_end: FrontEnd,
    *,
    title: str | None = None,
    limits: tuple[float, float] | None = None,
    seconds: float | None = None,
    colour_bar: bool = True,
    size: tuple[float, float] = (9.0, 3.4),
) -> Plot:
    """Draws the features of one clip: time to the right, mel bins upwards.

    Args:
        features: `[frames, num_mels]`, of any float type, valid frames only.
        front_end: of the features; it gives the frames' distance in seconds.
        title: above the picture; taken literally, `$` too.
        limits: the values of the darkest and of the brightest colour, so that several pictures can be compared;
            None takes the clip's own least and largest value.
        seconds: that the frames cover, where they are not one hop apart; None counts hops.
        colour_bar: whether the colours' values stand beside it.
        size: width and height, in inches.

    Raises:
        ValueError: the features have another shape, or no frame.
        TypeError: they are a whole record, or no front end was given.
    """
    _check_front_end(front_end)
    if isinstance(features, Mapping):
        raise TypeError(f"features must be an array, got a record of {', '.join(features)}: its 'input_features'")
    values = np.asarray(features, np.float32)
    if values.ndim != 2 or values.shape[1] != front_end.num_mels or not len(values):
        raise ValueError(
            f"features must be [frames, {front_end.num_mels}] with at least one frame, got {list(values.shape)}"
        )
    low, high = limits or (float(values.min()), float(values.max()))
    figure = Plot(*size)
    axes = _axes(figure)
    if seconds is None:
        seconds = len(values) * front_end.hop_length / front_end.sampling_rate
    image = axes.imshow(
        values.T,
        origin="lower",
        aspect="auto",
        cmap=_COLOUR_MAP,
        interpolation="none",
        vmin=low,
        vmax=max(high, low + 1e-3),  # of a clip that never changes, too
        extent=(0, seconds, 0, front_end.num_mels),
    )
    axes.set(xlabel="seconds", ylabel="mel bin")
    axes.set_yticks([0, front_end.num_mels // 2, front_end.num_mels])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if title is not None:
        _set_title(axes, title)
    if colour_bar:
        bar = figure.colorbar(image, pad=0.01)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=_FONT_SIZE, colors=INK, length=2)
        bar.set_label(unit_of_features(front_end), fontsize=_FONT_SIZE, color=INK)
    return figure


def histogram(
    distributions: Distribution | Mapping[str, Distribution],
    quantity: str,
    *,
    title: str | None = None,
    legend: bool = True,
    size: tuple[float, float] = (2.9, 1.7),
) -> Plot:
    """Draws how a quantity is distributed over records.

    Several distributions are drawn as outlines over each other, each as shares of its own records, so that
    corpora of different sizes can be compared. Where a few records lie far out, the first or the last bar has all
    from there on, and the axis says so.

    Args:
        distributions: one, or several by their names, four at most.
        quantity: one of `distributions.QUANTITIES`.
        title: above the picture, taken literally; None names the quantity, "" is none.
        legend: whether several distributions are named in the picture.
        size: width and height, in inches.

    Raises:
        ValueError: there is no such quantity, or there are too many distributions.
        TypeError: what was given is neither a distribution nor several by their names.
    """
    if quantity not in QUANTITIES:
        raise ValueError(f"quantity must be one of {', '.join(QUANTITIES)}, got {quantity!r}")
    several = _series(distributions, Distribution, f"summary.distributions[{quantity!r}]")
    unit = QUANTITIES[quantity].unit
    histograms = [one.histogram for one in several.values()]
    figure = Plot(*size)
    axes = _axes(figure)
    _set_title(axes, QUANTITIES[quantity].title if title is None else title)
    if not any(histograms):
        axes.set_yticks([])
        axes.set_xlabel(unit)
        return figure
    bars = _Bars.of(histograms, unit)
    edges = bars.edges * QUANTITIES[quantity].bin_width
    heights = [bars.heights(one) for one in histograms]
    if len(several) > 1:
        heights = [100 * one / (one.sum() or 1) for one in heights]
    for index, (name, height, colour) in enumerate(zip(several, heights, SERIES, strict=False)):
        axes.stairs(height, edges, fill=True, color=colour, alpha=0.85 if len(several) == 1 else 0.18)
        if len(several) > 1:
            axes.stairs(height, edges, color=colour, linewidth=1.4, zorder=3 + index, label=name)
    if legend and len(several) > 1:
        _add_legend(axes)
    axes.set_ylabel("clips" if len(several) == 1 else "% of clips")
    all_heights = np.concatenate(heights)
    _scale_heights(axes, all_heights[all_heights > 0].min(), all_heights.max(), whole=len(several) == 1)
    margin = 0.015 * (edges[-1] - edges[0])
    axes.set_xlim(edges[0] - margin, edges[-1] + margin)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6))
    is_share = unit == "share"
    if is_share:
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: _in_words(value, is_share=True)))
    gathered = [
        f"first bar: below {_in_words(edges[1], is_share=is_share)}" if bars.first_has_more else "",
        f"last bar: from {_in_words(edges[-2], is_share=is_share)} on" if bars.last_has_more else "",
    ]
    axes.set_xlabel("\n".join(filter(None, ["" if is_share else unit, "; ".join(filter(None, gathered))])))
    return figure


def bins(
    statistics: BinStatistics | Mapping[str, BinStatistics],
    front_end: FrontEnd,
    *,
    legend: bool = True,
    size: tuple[float, float] = (9.0, 2.6),
) -> Plot:
    """Draws mean and standard deviation of each mel bin: a line, and a band of one deviation to either side.

    Args:
        statistics: of a split, or of several by their names, four at most.
        front_end: of the features.
        legend: whether several splits are named in the picture.
        size: width and height, in inches.

    Raises:
        ValueError: there are too many, or one has another number of bins.
        TypeError: what was given is neither the statistics of a split nor several by their names.
    """
    _check_front_end(front_end)
    several = _series(statistics, BinStatistics, "summary.statistics")
    figure = Plot(*size)
    axes = _axes(figure)
    for (name, one), colour in zip(several.items(), SERIES, strict=False):
        if not one.num_frames:
            continue
        mean, deviation = np.array(one.mean()), np.array(one.stddev())
        if len(mean) != front_end.num_mels:
            raise ValueError(f"statistics must be of {front_end.num_mels} bins, got {len(mean)}")
        at = np.arange(len(mean))
        axes.fill_between(
            at,
            mean - deviation,
            mean + deviation,
            color=colour,
            alpha=0.16 if len(several) == 1 else 0.1,
            linewidth=0,
        )
        axes.plot(at, mean, color=colour, linewidth=1.6, label=name)
    if legend and len(several) > 1:
        _add_legend(axes)
    axes.set(xlabel="mel bin", ylabel=unit_of_features(front_end), xlim=(0, front_end.num_mels - 1))
    axes.set_xticks([*_mel_ticks(front_end.num_mels - 2), front_end.num_mels - 1])
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    return figure


def unit_of_features(front_end: FrontEnd) -> str:
    """What a feature's value is, in words."""
    if front_end.per_bin_mean is not None or front_end.per_bin_stddev is not None:
        return "normalised log-mel"
    return {"log_add": "ln(mel + floor)", "log_max": "ln(mel)", "log10_clamp": "(log10(mel) + 4) / 4"}[
        front_end.compression
    ]


def _check_front_end(front_end: Any) -> None:
    if not isinstance(front_end, FrontEnd):
        raise TypeError(f"front_end must be a FrontEnd, FrontEnd.load('gemma4') for example, got {front_end!r}")


def _series(given: Any, kind: type, example: str) -> dict[str, Any]:
    several = {"": given} if isinstance(given, kind) else given
    if not isinstance(several, Mapping) or not all(isinstance(one, kind) for one in several.values()):
        raise TypeError(
            f"a {kind.__name__} is drawn, or several in a dict by their names; a split's is {example}; got "
            f"{type(given).__name__}"
        )
    several = dict(several)
    if len(several) > len(SERIES):
        raise ValueError(f"at most {len(SERIES)} are drawn over each other, got {len(several)}")
    return several


def _axes(figure: Figure) -> Any:
    axes = figure.subplots()
    axes.set_axisbelow(True)
    axes.patch.set_visible(False)
    figure.patch.set_visible(False)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    axes.tick_params(labelsize=_FONT_SIZE, colors=INK, length=2.5)
    axes.xaxis.label.set(fontsize=_FONT_SIZE, color=INK)
    axes.yaxis.label.set(fontsize=_FONT_SIZE, color=INK)
    return axes


def _set_title(axes: Any, title: str) -> None:
    axes.set_title(title, fontsize=_FONT_SIZE + 1, color=INK, parse_math=False)


def _add_legend(axes: Any) -> None:
    for text in axes.legend(frameon=False, fontsize=_FONT_SIZE, labelcolor=INK).get_texts():
        text.set_parse_math(False)


def _mel_ticks(last: int) -> list[int]:
    step = 32 if last >= 96 else 16
    return list(range(0, last + 1, step))


@dataclass(frozen=True)
class _Bars:
    """The bars of a histogram: each unites `factor` bins, and they have the numbers `first` to `last`.

    The first and the last bar unite all bins beyond them, too.
    """

    first: int
    last: int
    factor: int
    first_has_more: bool
    last_has_more: bool

    @classmethod
    def of(cls, histograms: Sequence[Mapping[int, int]], unit: str) -> _Bars:
        """The bars that show all of some histograms, of which one at least is not empty."""
        least, most = (edge(number for one in histograms for number in one) for edge in (min, max))
        low, high = _bulk(histograms)
        low, high = max(least, low), min(most, high)
        factor = _nice_factor(high - low + 1)
        first, last = low // factor, high // factor
        if unit == "dBFS":  # there is hardly anything above 0
            first = min(first, last - _MIN_BARS + 1)
        else:  # and nothing below it
            last = max(last, first + _MIN_BARS - 1)
        return cls(first, last, factor, least // factor < first, most // factor > last)

    @property
    def edges(self) -> np.ndarray:
        """The edges of the bars, in bins."""
        return np.arange(self.first, self.last + 2) * self.factor

    def heights(self, histogram: Mapping[int, int]) -> np.ndarray:
        """The records in each bar."""
        found = np.zeros(self.last - self.first + 1)
        for number, count in histogram.items():
            found[min(max(number // self.factor - self.first, 0), self.last - self.first)] += count
        return found


def _bulk(histograms: Sequence[Mapping[int, int]]) -> tuple[int, int]:
    """The bins between which nearly all records lie, with as much room again to either side."""
    bounds = []
    for histogram in filter(None, histograms):
        numbers = sorted(histogram)
        passed = np.cumsum([histogram[number] for number in numbers])
        places = np.searchsorted(passed, [_OUTLIERS * passed[-1], (1 - _OUTLIERS) * passed[-1]])
        bounds.append([numbers[place] for place in places])
    low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
    room = max(high - low, _MIN_BARS)
    return low - room, high + room


def _nice_factor(num_bins: int) -> int:
    """How many bins become one bar, so that there are not too many: 1, 2, 5, 10, 20, ..."""
    factor = 1
    while num_bins > _MAX_BARS * factor:
        factor = factor * 5 // 2 if str(factor)[0] == "2" else factor * 2
    return factor


def _scale_heights(axes: Any, lowest: float, highest: float, *, whole: bool) -> None:
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    if highest < _LOGARITHMIC_FROM * lowest:
        axes.set_ylim(0, 1.06 * highest)
        axes.yaxis.set_major_locator(ticker.MaxNLocator(4, integer=whole, min_n_ticks=2))
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(_thousands))
        return
    axes.set_yscale("log")
    # A bar of the least height is to be seen, and there is no tenth of a clip.
    axes.set_ylim(bottom=0.5 if whole else 10 ** math.floor(math.log10(lowest * 0.9)))
    axes.yaxis.set_major_locator(ticker.LogLocator(numticks=5))
    axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(_thousands))


def _thousands(value: float, _: Any) -> str:
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


def _in_words(value: float, *, is_share: bool) -> str:
    return f"{100 * value:.4g} %" if is_share else f"{value:g}".replace("-", "\u2212")
