"""Per-bin sums of features, kept as integers so that they merge exactly in any order.

The sums of one clip are float64 (deterministic: same values, same order) and are then rounded to a fixed point
of 2**-32; from there on Python integers are added, which neither round nor overflow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_UNIT = 2.0**32


@dataclass
class BinStatistics:
    """Sums over frames, one a mel bin.

    Attributes:
        num_frames: frames summed.
        sums: of the values, in units of 2**-32.
        squares: of the squared values, in units of 2**-32.
    """

    num_frames: int = 0
    sums: list[int] = field(default_factory=list)
    squares: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, features: np.ndarray) -> BinStatistics:
        """Of one clip's features `[frames, bins]`.

        Raises:
            ValueError: a value is NaN or infinite.
        """
        values = features.astype(np.float64)
        sums, squares = values.sum(axis=0), np.einsum("fb,fb->b", values, values)
        if not np.isfinite(squares).all():
            raise ValueError(f"{np.count_nonzero(~np.isfinite(values))} feature values are not finite")
        return cls(len(values), _fixed(sums), _fixed(squares))

    def add(self, other: BinStatistics) -> None:
        """Adds the other's sums to these.

        Raises:
            ValueError: the two have different numbers of bins.
        """
        if not other.sums:
            return
        if not self.sums:
            self.num_frames, self.sums, self.squares = other.num_frames, list(other.sums), list(other.squares)
            return
        self.num_frames += other.num_frames
        self.sums = [a + b for a, b in zip(self.sums, other.sums, strict=True)]
        self.squares = [a + b for a, b in zip(self.squares, other.squares, strict=True)]

    def mean(self) -> list[float]:
        """Mean of each bin."""
        return [total / self.num_frames / _UNIT for total in self.sums]

    def stddev(self) -> list[float]:
        """Population standard deviation of each bin."""
        # In integers, since the difference of two large near-equal floats would lose the digits that matter.
        frames = self.num_frames
        return [
            math.isqrt(max(0, frames * square * int(_UNIT) - total * total)) / frames / _UNIT
            for total, square in zip(self.sums, self.squares, strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"num_frames": self.num_frames, "sums": self.sums, "squares": self.squares}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> BinStatistics:
        """Inverse of `to_dict`."""
        return cls(fields["num_frames"], list(fields["sums"]), list(fields["squares"]))


def _fixed(values: np.ndarray) -> list[int]:
    return [int(value) for value in np.rint(values * _UNIT).tolist()]
