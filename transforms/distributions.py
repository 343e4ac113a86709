"""How a quantity is distributed over records, in a form that merges exactly, whatever the order.

Sums are integers of a fixed point, histograms have bins of a fixed width, and of the records with the least and
the largest values a few are kept by name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from melbeam.transforms.statistics import UNIT

NUM_EXTREMES = 3


@dataclass(frozen=True)
class Quantity:
    """What is measured of every feature record.

    Attributes:
        title: as a person calls it.
        unit: of the values, in words; "share" for those between 0 and 1.
        bin_width: of a histogram's bins, in that unit.
    """

    title: str
    unit: str
    bin_width: float


QUANTITIES: dict[str, Quantity] = {
    "seconds": Quantity("Duration", "seconds", 0.5),
    "rms_dbfs": Quantity("Level, RMS", "dBFS", 1.0),
    "peak_dbfs": Quantity("Level, peak", "dBFS", 1.0),
    "full_scale_fraction": Quantity("Samples at full scale", "share", 0.001),
    "silent_fraction": Quantity("Silence", "share", 0.02),
    "num_audio_tokens": Quantity("Audio tokens", "tokens", 10.0),
    "characters_per_second": Quantity("Pace of the text", "characters a second", 0.5),
    # Standard deviation of the features over time, root mean square over the bins: how much a clip changes.
    "spread": Quantity("Change over time", "standard deviation", 0.1),
}
BIN_WIDTHS: dict[str, float] = {name: quantity.bin_width for name, quantity in QUANTITIES.items()}


@dataclass(frozen=True, order=True)
class Extreme:
    """A record with one of the least or the largest values.

    Attributes:
        value: of the quantity.
        id: of the record.
        shard: number of its shard of features.
        record: its number in that shard.
    """

    value: float
    id: str
    shard: int
    record: int


@dataclass
class Distribution:
    """A quantity over records.

    Attributes:
        count: records that have it.
        total: sum of their values, in units of 2**-32.
        histogram: number of a bin, floor(value / bin width), to the records in it.
        least: the records with the smallest values, from the smallest up.
        largest: those with the largest, from the largest down.
    """

    count: int = 0
    total: int = 0
    histogram: dict[int, int] = field(default_factory=dict)
    least: list[Extreme] = field(default_factory=list)
    largest: list[Extreme] = field(default_factory=list)

    def add_value(self, value: float, bin_width: float, record_id: str, shard: int, record: int) -> None:
        """Adds a record's value, which must be finite."""
        self.count += 1
        self.total += round(value * UNIT)
        number = math.floor(value / bin_width)
        self.histogram[number] = self.histogram.get(number, 0) + 1
        # Compared without an object of each record: most have no place among the few, also where all are equal.
        if len(self.least) < NUM_EXTREMES:
            among_least = among_largest = True
        else:
            among_least = (value, record_id) <= (self.least[-1].value, self.least[-1].id)
            among_largest = (value, record_id) >= (self.largest[-1].value, self.largest[-1].id)
        if among_least or among_largest:
            extreme = [Extreme(value, record_id, shard, record)]
            self._keep(extreme if among_least else [], extreme if among_largest else [])

    def add(self, other: Distribution) -> None:
        """Adds another's records to these."""
        self.count += other.count
        self.total += other.total
        for number, count in other.histogram.items():
            self.histogram[number] = self.histogram.get(number, 0) + count
        self._keep(other.least, other.largest)

    def _keep(self, least: list[Extreme], largest: list[Extreme]) -> None:
        if least:
            self.least = sorted([*self.least, *least])[:NUM_EXTREMES]
        if largest:
            self.largest = sorted([*self.largest, *largest], reverse=True)[:NUM_EXTREMES]

    def sum(self) -> float:
        """Sum of the values."""
        return self.total / UNIT

    def mean(self) -> float:
        """Mean of the values; 0 where there are none."""
        return self.total / self.count / UNIT if self.count else 0.0

    def count_below(self, bound: float, bin_width: float) -> int:
        """Records whose value is below a bound, which is to be one between two bins."""
        edge = round(bound / bin_width)
        return sum(count for number, count in self.histogram.items() if number < edge)
