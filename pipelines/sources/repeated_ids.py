"""Ids that a table has more than once, told when it is planned."""

from __future__ import annotations

from melbeam.pipelines import words

_NAMED = 3


class RepeatedIds:
    """Counts the ids that come again; keeps a number of each id, and the first that came again."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._count = 0
        self._named: list[str] = []

    def see(self, name: str) -> None:
        """Takes an id into account."""
        number = hash(name)
        if number not in self._seen:
            self._seen.add(number)
            return
        self._count += 1
        if name not in self._named and len(self._named) < _NAMED:
            self._named.append(name)

    def note(self, where: str, todo: str) -> list[str]:
        """A line for a person where some id came again, with what to do; else none."""
        if not self._count:
            return []
        have = "row has" if self._count == 1 else "rows have"
        named = words.named(self._named, self._count)
        return [
            f"{where}: {self._count} {have} an id that an earlier row has ({named}), and clips are looked up by "
            f"id: {todo}"
        ]
