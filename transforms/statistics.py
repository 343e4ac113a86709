"""Per-bin sums of features, kept as integers so that they merge exactly in any order.

The sums of one clip are float64 (deterministic: same values, same order) and are then rounded to a fixed point
of 2**-32; from there on Python integers are added, which neither round nor overflow.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field

import numpy as np

UNIT = 2.0**32  # of the fixed point: a sum of x is kept as round(x * UNIT)
# Values converted to float64 at a time: they stay in a cache of 1 MB until they are summed. Fewer would cost more:
# each operation of NumPy gives Python's lock away, and waits for it where another thread computes.
_VALUES_AT_ONCE = 1 << 16
# A variance below this, of 1 and the squared mean, may be that of a bin that never changes.
_ROUNDING = 1e-6
# Below it, in all, the sums of clips are added as int64.
_SURELY_INT64 = 2.0**62


@dataclass(frozen=True, eq=False)
class ClipSums:
    """Sums over the frames of one clip, as arrays `[bins]`: what `BinStatistics` takes in.

    Attributes:
        num_frames: frames summed; without any, the arrays are empty.
        sums: of the values, in units of 2**-32: whole numbers, as float64.
        squares: of the squared values, likewise.
        constants: the value of each bin that has the same one in every frame; NaN where it changes.
        spread: standard deviation over time, root mean square over the bins: 0 for a clip that never changes. It
            is computed in floats, which is far quicker than `BinStatistics.stddev` and exact to 1e-6 for one clip.
    """

    num_frames: int
    sums: np.ndarray
    squares: np.ndarray
    constants: np.ndarray
    spread: float

    @classmethod
    def of(cls, features: np.ndarray) -> ClipSums:
        """The sums of one clip's features `[frames, bins]`.

        Raises:
            ValueError: a value is NaN or infinite.
        """
        return cls.of_clips([features])[0]

    @classmethod
    def of_clips(cls, clips: Sequence[np.ndarray]) -> list[ClipSums]:
        """The sums of each clip's features `[frames, bins]`, which cost less for several clips than one by one.

        They are taken frame by frame, so that their last bits depend on no block.

        Raises:
            ValueError: a value is NaN or infinite.
        """
        filled = [features for features in clips if len(features)]
        found, none = iter(cls._of_filled(filled) if filled else ()), np.zeros(0)
        return [next(found) if len(features) else cls(0, none, none, none, 0.0) for features in clips]

    @classmethod
    def _of_filled(cls, clips: list[np.ndarray]) -> Iterator[ClipSums]:
        sums, squares = np.zeros((2, len(clips), clips[0].shape[1]))
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is found below
            for features, *into in zip(clips, sums, squares, strict=True):
                _sum_frames(features, *into)
        if not np.isfinite(squares).all():
            num_wrong = sum(np.count_nonzero(~np.isfinite(of.astype(np.float64))) for of in clips)
            raise ValueError(f"{num_wrong} feature values are not finite")
        frames = [len(features) for features in clips]
        sums, squares = np.rint(sums * UNIT), np.rint(squares * UNIT)
        constants, spreads = _changes(clips, frames, sums, squares)
        return map(cls, frames, sums, squares, constants, spreads)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ClipSums):
            return NotImplemented
        return all(
            np.array_equal(mine, theirs, equal_nan=True)
            for mine, theirs in zip(astuple(self), astuple(other), strict=True)
        )

    __hash__ = None  # type: ignore[assignment]


@dataclass
class BinStatistics:
    """Sums over frames, one a mel bin.

    Attributes:
        num_frames: frames summed.
        sums: of the values, in units of 2**-32.
        squares: of the squared values, in units of 2**-32.
        constants: the value of each bin that never changes, None where it does; empty in what was written before
            they were kept.

    Raises:
        ValueError: the lists are of different numbers of bins.
    """

    num_frames: int = 0
    sums: list[int] = field(default_factory=list)
    squares: list[int] = field(default_factory=list)
    constants: list[float | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        bins = len(self.sums)
        if len(self.squares) != bins or len(self.constants) not in (0, bins):
            raise ValueError(
                f"sums of {bins} bins, squares of {len(self.squares)} and constants of {len(self.constants)}"
            )

    @classmethod
    def of(cls, features: np.ndarray) -> BinStatistics:
        """The sums of one clip's features `[frames, bins]`.

        Raises:
            ValueError: a value is NaN or infinite.
        """
        statistics = cls()
        statistics.add_clips([ClipSums.of(features)])
        return statistics

    def add_clips(self, clips: Sequence[ClipSums]) -> None:
        """Adds the sums of clips to these, which costs less for many at a time than one by one.

        Raises:
            ValueError: there are different numbers of bins.
        """
        filled = [clip for clip in clips if clip.num_frames]
        if not filled:
            return
        self.add(
            BinStatistics(
                sum(clip.num_frames for clip in filled),
                _total([clip.sums for clip in filled]),
                _total([clip.squares for clip in filled]),
                _common([clip.constants for clip in filled]),
            )
        )

    def add(self, other: BinStatistics) -> None:
        """Adds the other's sums to these.

        Raises:
            ValueError: the two have different numbers of bins.
        """
        if not other.sums:
            return
        if not self.sums:
            self.num_frames, self.sums, self.squares = other.num_frames, list(other.sums), list(other.squares)
            self.constants = list(other.constants)
            return
        self.num_frames += other.num_frames
        self.sums = [a + b for a, b in zip(self.sums, other.sums, strict=True)]
        self.squares = [a + b for a, b in zip(self.squares, other.squares, strict=True)]
        if self.constants and other.constants:
            pairs = zip(self.constants, other.constants, strict=True)
            self.constants = [mine if mine == theirs else None for mine, theirs in pairs]
        else:
            self.constants = []

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
        for number, constant in enumerate(self.constants):
            if constant is not None:
                deviations[number] = 0.0
        return deviations


def _sum_frames(features: np.ndarray, sums: np.ndarray, squares: np.ndarray) -> None:
    """Adds the values of features `[frames, bins]` to `sums`, and their squares to `squares`, float64 `[bins]`."""
    frames, bins = features.shape
    block = max(1, _VALUES_AT_ONCE // bins)
    # The sum so far is the first row of the next block.
    values = _workspace((min(block, frames) + 1, bins))
    if features.itemsize < 4:  # the small types have no vector instructions
        features = features.astype(np.float32)
    for start in range(0, frames, block):
        part = features[start : start + block]
        rows = values[: len(part) + 1]
        rows[0], rows[1:] = sums, part
        np.add.reduce(rows, axis=0, out=sums)
        np.multiply(rows[1:], rows[1:], out=rows[1:])
        rows[0] = squares
        np.add.reduce(rows, axis=0, out=squares)


def _changes(
    clips: list[np.ndarray], frames: list[int], sums: np.ndarray, squares: np.ndarray
) -> tuple[np.ndarray, list[float]]:
    """How clips change over time: `ClipSums.constants`, `[clips, bins]`, and `ClipSums.spread` of each.

    Args:
        clips: `[frames, bins]` each.
        frames: of each.
        sums: as of `ClipSums`, `[clips, bins]`.
        squares: likewise.
    """
    unit = np.array([[1 / (count * UNIT)] for count in frames])
    squared_means = np.square(sums * unit)
    variances = squares * unit - squared_means
    constants = np.full(sums.shape, np.nan)
    # The sums' rounding leaves a variance that is none: what may be one shows in the frames themselves.
    for clip, number in zip(*(variances <= _ROUNDING * (squared_means + 1)).nonzero(), strict=True):
        first = clips[clip][0, number]
        if (clips[clip][:, number] == first).all():
            constants[clip, number] = first + 0.0  # -0.0 becomes 0.0, which equals it
            variances[clip, number] = 0.0
    np.maximum(variances, 0.0, out=variances)
    return constants, np.sqrt(np.add.reduce(variances, axis=1) / sums.shape[1]).tolist()


def _common(rows: list[np.ndarray]) -> list[float | None]:
    """The constants, `[bins]` each, that all clips share; None for the other bins."""
    stacked = np.stack(rows)
    is_common = (stacked == stacked[0]).all(axis=0)  # NaN equals nothing
    return [value if same else None for value, same in zip(rows[0].tolist(), is_common.tolist(), strict=True)]


def _total(rows: list[np.ndarray]) -> list[int]:
    """The exact sums of whole numbers that are float64 `[bins]` each."""
    stacked = np.stack(rows)
    if np.abs(stacked).max() * len(rows) < _SURELY_INT64:
        return stacked.astype(np.int64).sum(axis=0).tolist()
    return [sum(int(value) for value in column) for column in stacked.T.tolist()]


_workspaces = threading.local()


def _workspace(shape: tuple[int, int]) -> np.ndarray:
    """Memory for float64 `[rows, bins]`, of this thread alone: to allocate it anew would cost as much as a sum."""
    kept = getattr(_workspaces, "memory", None)
    size = shape[0] * shape[1]
    if kept is None or len(kept) < size:
        kept = _workspaces.memory = np.empty(max(size, 2 * _VALUES_AT_ONCE))
    return kept[:size].reshape(shape)
