"""Where a long clip is cut into chunks: one rule, for the converter that cuts and for `melbeam verify`."""

from __future__ import annotations

from dataclasses import dataclass

from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.options import RecordOptions


@dataclass(frozen=True)
class Chunking:
    """Chunk k of a clip begins at sample `k * step`.

    Attributes:
        length: samples of a chunk, but of the last one, which may have fewer; and of the longest clip that is not
            cut. None where no clip is too long.
        overlap: samples that a chunk has in common with the one before it.
    """

    length: int | None
    overlap: int

    @classmethod
    def of(cls, front_end: FrontEnd, options: RecordOptions) -> Chunking:
        """The chunks of some options, at the front end's rate.

        Raises:
            ValueError: a chunk would be longer than the front end takes, or have no frame, or none of its own.
        """
        rate, length = front_end.sampling_rate, front_end.max_samples
        if options.chunk_seconds is not None:
            length = round(options.chunk_seconds * rate)
            if front_end.max_samples is not None and length > front_end.max_samples:
                raise ValueError(
                    f"chunk_seconds must be at most {front_end.max_audio_length:g}, what front end "
                    f"{front_end.name!r} takes, got {options.chunk_seconds:g}"
                )
            if front_end.num_frames(length) == 0:
                raise ValueError(
                    f"chunk_seconds={options.chunk_seconds:g} is shorter than one frame of front end "
                    f"{front_end.name!r}"
                )
        overlap = round(options.chunk_overlap_seconds * rate)
        if length is not None and overlap >= length:
            raise ValueError(
                f"chunk_overlap_seconds must be below the length of a chunk, {length / rate:g} s, got "
                f"{options.chunk_overlap_seconds:g}"
            )
        return cls(length, overlap)

    @property
    def step(self) -> int:
        """Samples from one chunk's beginning to the next one's."""
        return (self.length or 0) - self.overlap

    def is_too_long(self, num_samples: int) -> bool:
        """Whether a clip of so many samples is cut."""
        return self.length is not None and num_samples > self.length

    def bounds(self, num_samples: int) -> list[tuple[int, int]]:
        """First sample and end of each chunk of a clip that is too long: the last chunk ends where it does."""
        length = self.length or num_samples
        starts = range(0, max(1, num_samples - self.overlap), self.step)
        return [(start, min(start + length, num_samples)) for start in starts]
