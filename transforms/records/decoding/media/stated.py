"""What a file states of its length."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from melbeam.transforms.records.rejects import Reject


@dataclass(frozen=True)
class Media:
    """A file for FFmpeg, and what its decode is held against.

    Attributes:
        name: of its format, for people.
        demuxer: FFmpeg's name of it.
        seconds: of audio that the file states or that its frames come to; None where it states nothing.
        tolerance: seconds by which a right decode may differ.
        allows_a_frame: whether it may differ by one frame of its codec beside that, unless the codec is lossless.
        is_trimmed: whether `seconds` is to the sample, so that what a decode gives behind it is dropped.
        has_times: whether its frames carry times, which must follow each other.
        sampling_rate: Hz that a decode has, where that was counted; None otherwise, and for Opus, which has none.
        num_channels: of a decode, where that was counted, or None.
        may_double: whether a decode may have twice that rate, and then two channels where one was counted.
        remark: what a header promised and what is there, where they differ, or what else a decoder may not take,
            as a clause for a message; else empty.
        start: the first byte that FFmpeg is given, behind tags that it would take for frames.
        end: the byte behind the last one that it is given; None where that is the file's last.
        cut_short: whether the file ends before its header says, within the tolerance that was asked for.
    """

    name: str
    demuxer: str
    seconds: Fraction | None
    tolerance: Fraction = Fraction(0)
    allows_a_frame: bool = True
    is_trimmed: bool = False
    has_times: bool = False
    sampling_rate: int | None = None
    num_channels: int | None = None
    may_double: bool = False
    remark: str = ""
    start: int = 0
    end: int | None = None
    cut_short: bool = False


def cut(name: str, promised: int, there: int) -> Reject:
    """The reject of a file that ends before what its header promises."""
    return Reject("bad_audio", f"a cut {name}: it promises {promised} bytes, {there} are there")


def damaged(name: str, what: str) -> Reject:
    """The reject of a file that contradicts itself."""
    return Reject("bad_audio", f"a damaged {name}: {what}")
