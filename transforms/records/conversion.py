"""What the conversion of one record gives, and what converts: typed, and without TensorFlow.

So whoever counts, watches, isolates or writes conversions needs no TensorFlow to say what it works with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.statistics import ClipSums

# The changes that may be made to a clip's audio before its features are computed, in words.
CHANGES: dict[str, str] = {
    "resampled": "brought to the front end's sampling rate",
    "mixed_down": "several channels became one, their mean",
    "truncated": "cut at the longest that the front end takes",
    "chunked": "cut into chunks, each a feature record of its own",
    "trimmed": "the last chunk, too short for a frame, was left out",
    "duration_differs": "its length is not the one that its manifest says",
    "cut_short": "the file ended before its header said, within the tolerance",
}


@dataclass(eq=False)
class FeatureRecord:
    """A feature record: a clip's, or that of a chunk of it.

    Attributes:
        parts: the serialized tf.train.Example, in pieces, of which the features may lie in memory of the kernel.
        id: of the record.
        num_frames: valid frames.
        sums: of the features as they were written, valid frames only.
        kinds: the list that holds each field of it which not every record has.
        lengths: the number of values of each of those fields.
        measures: the quantities of `distributions.BIN_WIDTHS` that it has.
        has_text_of_whole_clip: whether it is a chunk whose text was not cut with it.
        has_empty_text: whether it has a text, and that says nothing.
        row: what the table beside the features says of it, as `table.row_of` gives it.
    """

    parts: tuple[bytes | memoryview, ...]
    id: str
    num_frames: int
    sums: ClipSums
    kinds: dict[str, str] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    measures: dict[str, float] = field(default_factory=dict)
    has_text_of_whole_clip: bool = False
    has_empty_text: bool = False
    row: dict[str, Any] = field(default_factory=dict)

    @property
    def example(self) -> bytes:
        """The serialized tf.train.Example, in one piece."""
        return b"".join(self.parts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FeatureRecord):
            return NotImplemented
        return self.__getstate__() == other.__getstate__()  # in whatever pieces each is

    __hash__ = None  # type: ignore[assignment]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "parts": (self.example,)}  # memory of the kernel cannot be pickled


@dataclass
class Conversion:
    """What became of one audio record.

    Attributes:
        id: of the audio record.
        features: its feature records: one, or one a chunk, of the clip or of each of its channels.
        num_samples: at the front end's rate, before truncation; of all channels, where each became records.
        changes: what was done to the audio beyond computing features, by the names of `CHANGES`.
        num_channels: that became records of their own; 1 where the clip's became one.
    """

    id: str
    features: list[FeatureRecord]
    num_samples: int
    changes: list[str]
    num_channels: int = 1


class Prepared(Protocol):
    """A record that is read and decoded, as its converter keeps it until it is finished with others."""

    @property
    def source(self) -> str:
        """Where the record came from."""
        ...

    @property
    def num_samples(self) -> int:
        """Samples that it takes of a call of the kernel, what lies between two clips there included."""
        ...


class Converter(Protocol):
    """Anything that converts serialized audio records: in this process, watched, or in a process apart.

    It takes two steps, since features of many clips together cost less than of each alone.
    """

    def prepare(self, record: bytes, source: str) -> Prepared:
        """Reads and decodes one record; `source` names where it came from.

        Raises:
            Reject: the record cannot be converted.
        """
        ...

    def finish(self, prepared: Sequence[Any]) -> list[Conversion | Reject]:
        """Computes and writes what this converter has prepared: the conversion of each, or why there is none."""
        ...


class ConfiguredConverter(Converter, Protocol):
    """A converter that says what it converts with."""

    @property
    def front_end(self) -> FrontEnd:
        """The front end of the features."""
        ...

    @property
    def options(self) -> RecordOptions:
        """How records are read and written."""
        ...

    @property
    def samples_at_once(self) -> int:
        """Samples of one call of the kernel: what is finished together had best fill one and not begin another."""
        ...


def convert(converter: Converter, record: bytes, source: str) -> Conversion:
    """Converts one record by itself.

    Raises:
        Reject: the record cannot be converted.
    """
    (outcome,) = converter.finish([converter.prepare(record, source)])
    if isinstance(outcome, Reject):
        raise outcome
    return outcome
