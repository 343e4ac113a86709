"""What an audio file's bytes say of it, before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from melbeam.transforms.records.rejects import Reject


@dataclass(frozen=True)
class Part:
    """Bytes that libsndfile reads to their true end; a file that was joined of several streams has several.

    Attributes:
        data: a whole file for libsndfile: the file's own bytes, or those freed of what misleads it.
        num_samples: a channel, of audio: the first of those that a decode gives.
        num_filled: samples a channel that a decode gives behind those, the rest of a codec's last block, which are
            no audio and are dropped.
    """

    data: bytes
    num_samples: int
    num_filled: int = 0


@dataclass(frozen=True)
class Contents:
    """What an audio file holds, counted without a decoder.

    Attributes:
        format: the container and, where it says more, the codec, for people: "WAV", "MP3", "Ogg Vorbis".
        sampling_rate: Hz of `num_samples`. Opus can be decoded at other rates too: this is the one that libsndfile
            gives, and a decode at another has proportionally more or fewer samples.
        num_channels: as a decode gives them.
        num_samples: a channel, that a whole decode gives, the samples that `Part.num_filled` counts left out.
        tolerance: samples a channel by which a right decode may differ from `num_samples`; 0 where the format is
            exact.
        parts: to be decoded one behind the other, all of the same rate and channels. None where libsndfile has no
            decoder for the codec: another decoder is asked for the whole file, and its count held against this.
        cut_tolerated: whether samples that the header promises are missing, within the tolerance asked for.
        remark: what a header promised and what is there, where they differ, as a clause for a message; else empty.
    """

    format: str
    sampling_rate: int
    num_channels: int
    num_samples: int
    tolerance: int = 0
    parts: tuple[Part, ...] | None = None
    cut_tolerated: bool = False
    remark: str = ""


@dataclass(frozen=True)
class Tolerance:
    """How much of what a header promises may be missing.

    Attributes:
        seconds: of audio.
    """

    seconds: float = 0.0

    def allows(self, num_samples: int, sampling_rate: int) -> bool:
        """Whether so many samples a channel may be missing at the end."""
        return 0 < num_samples <= self.seconds * sampling_rate


def cut(format: str, promise: str, promised: int, there: int, unit: str = "bytes") -> Reject:
    """The reject of a file that holds less than it says.

    Args:
        format: what the file is.
        promise: what makes the promise, as the beginning of a clause: "its header".
        promised: how many `unit` that is.
        there: how many there are.
        unit: what is counted.
    """

    return Reject("bad_audio", f"a cut {format}: {promise} promises {promised} {unit}, {there} are there")
