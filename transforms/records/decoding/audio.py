"""A clip as it is decoded, block by block: checked, mixed down, resampled, and never held at its source's rate.

Which of its channels come out is asked by a number, or by one of two words: the mean of all, or each by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import soxr

from melbeam.transforms.records.audio_bounds import EACH, MAX_CHANNELS, MAX_RATE, MEAN, MIN_RATE
from melbeam.transforms.records.rejects import Reject

# Full scale is 1; what mixes and lossy codecs add to it stays far below this, and 16-bit values are far above.
MAX_PEAK = 16.0
# Values of all channels in a second that a clip as long as `max_seconds` may have: stereo at 192 kHz, or 8
# channels at 48 kHz. A small FLAC of silence can hold five million a second, and hours of it take long to decode.
MAX_VALUES_A_SECOND = 384_000
BLOCK_VALUES = 1 << 16  # decoded at a time, over all channels
MAX_WHOLE_VALUES = 1 << 20  # of a clip that may be decoded in one block, over all channels: 4 MiB
_RESAMPLING_QUALITY = "HQ"  # soxr's 20-bit quality


@dataclass(frozen=True)
class Audio:
    """Decoded audio.

    Attributes:
        samples: float32 `[num_samples]`, mono, at the rate that was asked for; `[num_samples, num_channels]` where
            each channel was.
        source_rate: Hz of the source.
        resampled: whether the two rates differ.
        mixed_down: whether the samples are the mean of more than one channel.
        cut_short: whether the source ends before its header says, within the tolerance that was asked for.
    """

    samples: np.ndarray
    source_rate: int
    resampled: bool
    mixed_down: bool
    cut_short: bool = False


@dataclass
class DecodedBlocks:
    """A clip that a decoder has opened.

    Attributes:
        sampling_rate: Hz.
        num_channels: of each block.
        blocks: float32 `[num_frames, num_channels]`, full scale 1; to be taken once, while the file is open.
    """

    sampling_rate: int
    num_channels: int
    blocks: Iterator[np.ndarray]

    def check_kind(self, name: str, sampling_rate: int | None, num_channels: int | None) -> None:
        """Holds what the decoder says of the clip against what its container does; None stands for anything.

        Raises:
            DecoderError: they differ.
        """
        for what, right, found in (
            ("Hz", sampling_rate, self.sampling_rate),
            ("channels", num_channels, self.num_channels),
        ):
            if right not in (None, found):
                raise DecoderError(f"{name}: it is of {right} {what}, the decoder gives {found}")


class DecoderError(Exception):
    """A decoder failed, or gave another number of samples than the file holds; the message says which."""


@dataclass(frozen=True)
class Request:
    """How a file is to be decoded.

    Attributes:
        sampling_rate: Hz of the samples that come out.
        declared_rate: Hz that the record names, or None.
        max_seconds: a longer clip is a reject; None stands for no limit.
        check_md5: whether the MD5 of its samples that a FLAC may carry is checked.
        channel: `MEAN`, `EACH`, or a channel's number, from 0.
    """

    sampling_rate: int
    declared_rate: int | None = None
    max_seconds: float | None = None
    check_md5: bool = False
    channel: int | str = MEAN

    def stream(self, opened: DecodedBlocks) -> MonoStream:
        """The samples-to-be of a file that a decoder has opened.

        Raises:
            Reject: bad_audio or rate_mismatch.
        """
        stream = MonoStream(
            source_rate=opened.sampling_rate,
            num_channels=opened.num_channels,
            sampling_rate=self.sampling_rate,
            max_seconds=self.max_seconds,
            channel=self.channel,
        )
        self.check_rate(opened.sampling_rate)
        return stream

    def check_rate(self, rate: int) -> None:
        """Refuses a file of another rate than the record names.

        Raises:
            Reject: rate_mismatch.
        """
        if self.declared_rate is not None and self.declared_rate != rate:
            raise Reject("rate_mismatch", f"the record says {self.declared_rate} Hz, its audio says {rate} Hz")


class MonoStream:
    """Takes the blocks of one clip and gives its samples, mono unless each channel is asked for, at one rate.

    It holds what has come out so far and one block: memory follows the length of the result, not the source's
    rate or channels. The samples are those that resampling the whole clip at once gives, to the bit. A clip of one
    block, which most are, is not copied.

    Args:
        source_rate: Hz of the blocks.
        num_channels: of the blocks.
        sampling_rate: Hz of the samples that come out.
        max_seconds: a longer clip is a reject; None stands for no limit. Where each channel comes out, all of them
            together count, as they do in memory.
        channel: as of a `Request`.

    Raises:
        Reject: bad_audio, a rate or number of channels that no recording has; no_channel.
    """

    def __init__(
        self,
        *,
        source_rate: int,
        num_channels: int = 1,
        sampling_rate: int,
        max_seconds: float | None = None,
        channel: int | str = MEAN,
    ) -> None:
        check_rate(source_rate)
        if not 1 <= num_channels <= MAX_CHANNELS:
            raise Reject("bad_audio", f"{num_channels} channels, outside 1 to {MAX_CHANNELS}")
        check_channel(channel, num_channels)
        self._channel = channel
        self._num_out = num_channels if channel == EACH else 1
        self.num_samples = 0
        """Samples a channel that were taken in."""
        self._source_rate, self._sampling_rate, self._num_channels = source_rate, sampling_rate, num_channels
        self._max_seconds = max_seconds
        self._first: np.ndarray | None = None  # what was taken of the first block, while no other has come
        self._mono = bytearray()  # grows in place, by a page table's entries and not by copies, where it is large
        self._is_resampled = source_rate != sampling_rate
        self._resampler: soxr.ResampleStream | None = None  # only several blocks need one

    def check_length(self, num_samples: int) -> None:
        """Refuses a clip of so many samples a channel, or of that many so far.

        Raises:
            Reject: over_limit.
        """
        if self._max_seconds is None:
            return
        if num_samples * self._num_out > self._max_seconds * self._source_rate:
            raise over_limit(num_samples / self._source_rate, self._max_seconds, self._num_out)
        most = self._max_seconds * MAX_VALUES_A_SECOND
        if num_samples * self._num_channels > most:
            raise Reject(
                "over_limit",
                f"at least {num_samples} samples in each of {self._num_channels} channels, at {self._source_rate} "
                f"Hz: more than {most:.0f} in all, which are {MAX_VALUES_A_SECOND} for each of the "
                f"{self._max_seconds:g} s that are the limit for one clip",
            )

    def write(self, block: np.ndarray) -> None:
        """Takes float32 `[num_frames, num_channels]`, which nobody may change afterwards.

        Raises:
            Reject: over_limit, not_finite or out_of_range.
        """
        if not len(block):
            return
        self.check_length(self.num_samples + len(block))
        check_values(block, self.num_samples)
        is_first = not self.num_samples
        self.num_samples += len(block)
        if is_first:
            self._first = self._taken(block)
            return
        self._append_first()
        self._append(self._taken(block), last=False)

    def audio(self, *, cut_short: bool = False) -> Audio:
        """The whole clip; nothing can be written after it.

        Raises:
            Reject: empty_audio.
        """
        if not self.num_samples:
            raise no_samples()
        samples = self._samples()
        if not len(samples):
            raise Reject("empty_audio", f"no samples are left at {self._sampling_rate} Hz")
        mixed_down = self._num_channels > 1 and self._channel == MEAN
        return Audio(samples, self._source_rate, self._is_resampled, mixed_down, cut_short)

    def _samples(self) -> np.ndarray:
        """All that comes out of the blocks."""
        if self._first is None:
            self._append(self._taken(np.zeros((0, self._num_channels), np.float32)), last=True)
            samples = np.frombuffer(self._mono, np.float32)
        else:
            samples = np.ascontiguousarray(self._first)
            if self._is_resampled:
                samples = soxr.resample(
                    samples, self._source_rate, self._sampling_rate, quality=_RESAMPLING_QUALITY
                )
        return samples.reshape(-1, self._num_channels) if self._channel == EACH else samples

    def _taken(self, block: np.ndarray) -> np.ndarray:
        """What is asked for of a block: `[num_frames]`; or `[num_frames, num_channels]`, of several channels."""
        if self._num_channels == 1:
            return block[:, 0]
        if self._channel == EACH:
            return block
        return _mix_down(block) if self._channel == MEAN else block[:, int(self._channel)]

    def _append_first(self) -> None:
        """Appends the first block, which was kept as it is, once there is another."""
        if self._first is None:
            return
        first, self._first = self._first, None
        if self._is_resampled:
            self._resampler = soxr.ResampleStream(
                self._source_rate, self._sampling_rate, self._num_out, dtype="float32", quality=_RESAMPLING_QUALITY
            )
        self._append(first, last=False)

    def _append(self, mono: np.ndarray, *, last: bool) -> None:
        if self._resampler is not None:
            mono = self._resampler.resample_chunk(mono, last=last)
        self._mono += np.ascontiguousarray(mono).data


def check_values(values: np.ndarray, first: int) -> None:
    """Refuses floats that no recording has; `first` is the place of the first row in its clip.

    Raises:
        Reject: not_finite or out_of_range.
    """
    # Both pass NaN on, and no comparison with it holds.
    if values.min() >= -MAX_PEAK and values.max() <= MAX_PEAK:
        return
    finite = np.isfinite(values)
    place = tuple(np.argwhere(np.abs(values) > MAX_PEAK if finite.all() else ~finite)[0])
    what = f"sample {first + place[0]} is {float(values[place]):g}"
    if not finite.all():
        raise Reject("not_finite", what)
    raise Reject(
        "out_of_range",
        f"{what}, beyond {MAX_PEAK:g}, a peak that no recording has: full scale is 1, so divide 16-bit samples by "
        "32768, or store them as integers",
    )


def check_channel(channel: int | str, num_channels: int) -> None:
    """Refuses a channel that a clip has not.

    Raises:
        Reject: no_channel.
    """
    if isinstance(channel, int) and channel >= num_channels:
        has = "one channel, 0" if num_channels == 1 else f"{num_channels} channels, 0 to {num_channels - 1}"
        raise Reject("no_channel", f"channel {channel} is asked for, and the clip has {has}")


def of_one_channel(audio: Audio, channel: int | str) -> Audio:
    """Audio of a source that has one channel, `[num_samples]`, as it is asked for.

    Raises:
        Reject: no_channel.
    """
    check_channel(channel, 1)
    return replace(audio, samples=audio.samples[:, np.newaxis]) if channel == EACH else audio


def check_rate(rate: int) -> None:
    """Refuses a rate that no recording has.

    Raises:
        Reject: bad_audio.
    """
    if not MIN_RATE <= rate <= MAX_RATE:
        raise Reject("bad_audio", f"a sampling rate of {rate} Hz, outside {MIN_RATE} to {MAX_RATE} Hz")


def over_limit(seconds: float, max_seconds: float, num_channels: int = 1) -> Reject:
    """The reject of a clip that is longer than its limit, all of the channels that come out of it together."""
    if num_channels == 1:
        return Reject(
            "over_limit", f"at least {seconds:.3f} s, longer than {max_seconds:g} s, the limit for one clip"
        )
    return Reject(
        "over_limit",
        f"at least {seconds:.3f} s in each of {num_channels} channels, which count together as each has records: "
        f"longer than {max_seconds:g} s, the limit for one clip",
    )


def no_samples() -> Reject:
    """The reject of a clip that holds none."""
    return Reject("empty_audio", "the audio holds no samples")


def _mix_down(block: np.ndarray) -> np.ndarray:
    """float32 `[num_frames, num_channels]` to `[num_frames]`: the mean, taken in float64 and rounded once."""
    return block.mean(axis=1, dtype=np.float64).astype(np.float32)
