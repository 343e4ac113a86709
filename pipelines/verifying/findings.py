"""What a check has found: faults, and warnings, a few of each file in full and the rest counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from melbeam.pipelines.words import harmless

# So many lines of one file's faults are shown, and so many of its warnings; the rest are counted.
MAX_LINES_OF_A_FILE = 20


@dataclass
class Findings:
    """What was found wrong (faults), and what somebody may want to know (warnings).

    Attributes:
        faults: lines for a person, each with the file, and the record in it, that it is about.
        warnings: likewise.
    """

    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def fault(self, place: str, what: str, record: int | None = None) -> None:
        """Notes a fault of a file, a folder or a split, or of one record of a file."""
        self._note("faults", self.faults, place, what, record)

    def warn(self, place: str, what: str, record: int | None = None) -> None:
        """Notes a warning, likewise."""
        self._note("warnings", self.warnings, place, what, record)

    def _note(self, kind: str, lines: list[str], place: str, what: str, record: int | None) -> None:
        count = self._counts[kind, place] = self._counts.get((kind, place), 0) + 1
        if count <= MAX_LINES_OF_A_FILE:
            lines.append(f"{place}: {what}" if record is None else f"{place}, record {record}: {what}")

    def count(self, kind: str) -> int:
        """The number of "faults" or "warnings", those that are not shown too."""
        return sum(count for (noted, _), count in self._counts.items() if noted == kind)

    def lines(self) -> Iterator[str]:
        """Yields what was found, for a person."""
        for kind, name, noted in (("warnings", "warning", self.warnings), ("faults", "FAULT", self.faults)):
            yield from (f"{name}: {harmless(line)}" for line in noted)
            for (counted, place), count in self._counts.items():
                if counted == kind and count > MAX_LINES_OF_A_FILE:
                    yield f"{name}: {place}: {count - MAX_LINES_OF_A_FILE} more {kind}"
