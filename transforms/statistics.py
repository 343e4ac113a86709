"""Per-bin sums of features, kept as integers so that they merge exactly in any order.

The sums of one clip are float64 (deterministic: same values, same order) and are then rounded to a fixed point
of 2**-32; from there on Python integers are added, which neither round nor overflow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

UNIT = 2.0**32  # of the fixed point: a sum of x is kept as round(x * UNIT)


@dataclass
class BinStatistics:
    """Sums over frames, one a mel bin.

    Attributes:
        num_frames: frames summed.
        sums: of the values, in units of 2**-32.
        squares: of the squared values, in units of 2**-32.
        minima: the least value of each bin; empty in what was written before they were kept.
        maxima: the largest value of each bin, likewise.
    """

    num_frames: int = 0
    sums: list[int] = field(default_factory=list)
    squares: list[int] = field(default_factory=list)
    minima: list[float] = field(default_factory=list)
    maxima: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, features: np.ndarray) -> BinStatistics:
        """The sums of one clip's features `[frames, bins]`.

        Raises:
            ValueError: a value is NaN or infinite.
        """
        values = features.astype(np.float64)
        sums, squares = values.sum(axis=0), np.einsum("fb,fb->b", values, values)
        if not np.isfinite(squares).all():
            raise ValueError(f"{np.count_nonzero(~np.isfinite(values))} feature values are not finite")
        if not len(values):
            return cls()
        least, largest = (extreme.reduce(values, axis=0).tolist() for extreme in (np.minimum, np.maximum))
        return cls(len(values), _fixed(sums), _fixed(squares), least, largest)

    def add(self, other: BinStatistics) -> None:
        """Adds the other's sums to these.

        Raises:
            ValueError: the two have different numbers of bins.
        """
        if not other.sums:
            return
        if not self.sums:
            self.num_frames, self.sums, self.squares = other.num_frames, list(other.sums), list(other.squares)
            self.minima, self.maxima = list(other.minima), list(other.maxima)
            return
        self.num_frames += other.num_frames
        self.sums = [a + b for a, b in zip(self.sums, other.sums, strict=True)]
        self.squares = [a + b for a, b in zip(self.squares, other.squares, strict=True)]
        if self.minima and other.minima:
            self.minima = [min(a, b) for a, b in zip(self.minima, other.minima, strict=True)]
            self.maxima = [max(a, b) for a, b in zip(self.maxima, other.maxima, strict=True)]
        else:
            self.minima, self.maxima = [], []

    def mean(self) -> list[float]:
        """Mean of each bin."""
        return [total / self.num_frames / UNIT for total in self.sums]

    def stddev(self) -> list[float]:
        """Population standard deviation of each bin; exactly 0 where a bin never changes."""
        # In integers, since the difference of two large near-equal floats would lose the digits that matter.
        frames = self.num_frames
        deviations = [
            math.isqrt(max(0, frames * square * int(UNIT) - total * total)) / frames / UNIT
            for total, square in zip(self.sums, self.squares, strict=True)
        ]
        # The sums' rounding leaves some 1e-6 of a deviation that is none.
        for number, (least, largest) in enumerate(zip(self.minima, self.maxima, strict=True)):
            if least == largest:
                deviations[number] = 0.0
        return deviations

    def spread(self) -> float:
        """Standard deviation over time, root mean square over the bins: 0 for a clip that never changes.

        It is computed in floats, which is far quicker than `stddev` and exact to 1e-6 for the sums of one clip.
        """
        if not self.num_frames:
            return 0.0
        changing = np.array(self.minima) != np.array(self.maxima)
        means, squares = (np.array(of, np.float64) / (self.num_frames * UNIT) for of in (self.sums, self.squares))
        return float(np.sqrt(np.mean(np.maximum(squares - means * means, 0.0) * changing)))


def _fixed(values: np.ndarray) -> list[int]:
    return [int(value) for value in np.rint(values * UNIT).tolist()]
