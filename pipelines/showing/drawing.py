"""A log-mel spectrogram drawn in characters: in shades, or in colours where the terminal has some."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from typing import TextIO

import numpy as np

# From low to high. The colours are those of matplotlib's "magma", as near as xterm's 256 come.
_SHADES = " .:-=+*#%@"
_COLOURS = (16, 17, 53, 54, 90, 126, 161, 203, 209, 215, 222, 229)
_UPPER_HALF = "▀"  # the colour of the character above, that of its background below
_RESET = "\x1b[0m"
_ROWS = 16
_LEAST_WIDTH = 16  # columns of the picture itself, however narrow the terminal


@dataclass(frozen=True)
class Screen:
    """What the output can show.

    Attributes:
        width: columns of a line.
        colours: whether it obeys xterm's 256 colours.
        encoding: of its characters.
    """

    width: int
    colours: bool
    encoding: str

    @classmethod
    def of(cls, stream: TextIO | None = None) -> Screen:
        """The screen that a stream, standard output by default, is written to.

        There are colours on a terminal, unless the variable NO_COLOR is set (https://no-color.org) or the terminal
        is called "dumb".
        """
        stream = sys.stdout if stream is None else stream
        obeys = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        encoding = getattr(stream, "encoding", None) or "utf-8"
        colours = obeys and not os.environ.get("NO_COLOR") and _can_be_written(_UPPER_HALF, encoding)
        return cls(shutil.get_terminal_size().columns, colours, encoding)

    def writable(self, text: str) -> str:
        """The text, in which what the encoding lacks is written as an escape."""
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)


def _can_be_written(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def draw(features: np.ndarray, frames_per_second: float, screen: Screen) -> list[str]:
    """The lines of a picture: time to the right, mel bins upwards, and the scale below.

    Args:
        features: floats of any type, `[frames, num_mels]`, at least one frame.
        frames_per_second: of the features.
        screen: on which it is to be shown.
    """
    values = np.asarray(features, np.float32)
    frames, bins = values.shape
    label = max(len(str(bins - 1)), 1)
    width = min(frames, max(_LEAST_WIDTH, screen.width - label - 2))
    rows = min(_ROWS, bins // 2 if screen.colours else bins) or 1
    image = _means(_means(values, width).T, rows * 2 if screen.colours and bins > 1 else rows)[::-1]
    finite = image[np.isfinite(image)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    levels = _levels(image, low, high, len(_COLOURS) if screen.colours else len(_SHADES))
    lines = _in_colours(levels) if screen.colours else ["".join(_SHADES[v] for v in row) for row in levels]
    sides = [""] * len(lines)
    sides[0], sides[-1] = str(bins - 1), "0"
    drawn = [f"{side:>{label}} |{line}" for side, line in zip(sides, lines, strict=True)]
    return [*drawn, f"{'':{label}}  {_ticks(width, frames / frames_per_second)}", _scale(low, high, screen)]


def _means(values: np.ndarray, count: int) -> np.ndarray:
    """The values `[n, ...]` as `count` means of neighbours, `[count, ...]`; or as they are."""
    if len(values) <= count:
        return values
    starts = np.arange(count) * len(values) // count
    sums = np.add.reduceat(values, starts, axis=0)
    sizes = np.diff([*starts, len(values)])
    return sums / sizes.reshape(-1, *[1] * (values.ndim - 1))


def _levels(image: np.ndarray, low: float, high: float, count: int) -> np.ndarray:
    """Which of `count` shades each value has; what is no number has the lowest."""
    if high <= low:
        return np.zeros(image.shape, np.int64)
    share = (np.clip(np.nan_to_num(image, nan=low), low, high) - low) / (high - low)
    return np.minimum((share * count).astype(np.int64), count - 1)


def _in_colours(levels: np.ndarray) -> list[str]:
    """Two rows a line: the upper half of a character has the one's colour, its background the other's."""
    if len(levels) % 2:
        levels = np.concatenate([levels, levels[-1:]])
    lines = []
    for upper, lower in zip(levels[::2], levels[1::2], strict=True):
        line, before = "", None
        for pair in zip(upper.tolist(), lower.tolist(), strict=True):
            if pair != before:
                line += f"\x1b[38;5;{_COLOURS[pair[0]]};48;5;{_COLOURS[pair[1]]}m"
            line, before = line + _UPPER_HALF, pair
        lines.append(line + _RESET)
    return lines


def _ticks(width: int, seconds: float) -> str:
    """Seconds at both ends, and in the middle where there is room."""
    left, middle, right = "0", f"{seconds / 2:.2f}", f"{seconds:.2f} s"
    if width < len(left) + len(right) + 1:
        return right
    if width < len(left) + len(middle) + len(right) + 8:
        return f"{left}{right:>{width - 1}}"
    start = width // 2 - len(middle) // 2
    return f"{left:{start}}{middle}{right:>{width - start - len(middle)}}"


def _scale(low: float, high: float, screen: Screen) -> str:
    if not screen.colours:
        return f"{low:.2f} '{_SHADES}' {high:.2f}"
    return f"{low:.2f} " + "".join(f"\x1b[48;5;{colour}m " for colour in _COLOURS) + f"{_RESET} {high:.2f}"
