"""How far an attempt at a shard is, in a small file that the launcher's progress bar reads."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass

from melbeam.pipelines import files

_PAUSE_SECONDS = 0.5  # between two writings


@dataclass(frozen=True)
class Progress:
    """What is done of a shard, or of several.

    Attributes:
        seconds: of audio.
        num_bytes: of the input, inflated.
    """

    seconds: float = 0.0
    num_bytes: int = 0

    @classmethod
    def parse(cls, text: str) -> Progress:
        """What `ProgressFile` wrote.

        Raises:
            ValueError: it is not whole, or of an older release.
        """
        content = json.loads(text)
        if not isinstance(content, list) or len(content) != 2:
            raise ValueError(f"no progress: {text[:80]!r}")
        return cls(float(content[0]), int(content[1]))


class ProgressFile:
    """The file of one attempt; only a local one is kept up to date."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._written = 0.0

    def start(self) -> None:
        """Writes the file for the first time, which marks the attempt as begun on any file system."""
        files.write_bytes(self._path, b"[0.0, 0]", sync=False)  # after a power cut nothing is to blame for it

    def update(self, done: Progress) -> None:
        """Writes it anew, if the last time is half a second ago."""
        now = time.monotonic()
        if files.is_local(self._path) and now - self._written >= _PAUSE_SECONDS:
            self._written = now
            # This is no reason to stop: another attempt's commit may have removed the folder.
            with suppress(OSError), open(self._path, "r+", encoding="utf-8") as file:
                json.dump([done.seconds, done.num_bytes], file)
                file.truncate()
