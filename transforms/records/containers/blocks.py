"""How bytes become samples in codecs of a fixed size: single samples, or blocks of several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Blocks:
    """The sizes of a codec whose blocks are all of one size.

    Attributes:
        num_bytes: of a block, all channels.
        num_samples: a channel, in a block.
        samples_of_rest: the samples a channel that the first so many bytes of a block give; None where a block
            that is not whole gives none.
    """

    num_bytes: int
    num_samples: int
    samples_of_rest: Callable[[int], int] | None = None

    def count(self, num_bytes: int) -> int:
        """Samples a channel in so many bytes."""
        whole, rest = divmod(num_bytes, self.num_bytes)
        partial = self.samples_of_rest(rest) if rest and self.samples_of_rest else 0
        return whole * self.num_samples + min(max(0, partial), self.num_samples)

    def filled(self, data: bytes) -> tuple[bytes, int]:
        """The data in whole blocks, zeros behind it, and the samples a channel that all of them give."""
        whole, rest = divmod(len(data), self.num_bytes)
        if rest and self.num_samples > 1 and self.count(len(data)) > whole * self.num_samples:
            data, whole = data.ljust((whole + 1) * self.num_bytes, b"\0"), whole + 1
        return data[: whole * self.num_bytes], whole * self.num_samples


def single_samples(bytes_a_sample: int, channels: int) -> Blocks:
    """Samples of whole bytes, channels interleaved."""
    return Blocks(bytes_a_sample * channels, 1)


def ima_adpcm(block_size: int, channels: int) -> Blocks:
    """Microsoft's IMA ADPCM: a header of 4 bytes a channel with one sample, then 4 bytes a channel in turn."""

    def samples_of_rest(num_bytes: int) -> int:
        words = num_bytes // 4 // channels - 1
        return words * 8 + 1 + (num_bytes % 4 * 2 if channels == 1 else 0)

    return Blocks(block_size, samples_of_rest(block_size), samples_of_rest)


def ms_adpcm(block_size: int, channels: int) -> Blocks:
    """Microsoft's ADPCM: a header of 7 bytes a channel with two samples, then 4 bits a sample."""

    def samples_of_rest(num_bytes: int) -> int:
        return (num_bytes - 7 * channels) * 2 // channels + 2 if num_bytes >= 7 * channels else 0

    return Blocks(block_size, samples_of_rest(block_size), samples_of_rest)


def g72x(bits: int) -> Blocks:
    """G.721 and G.723, one channel: libsndfile reads 120 samples at a time."""
    return Blocks(bits * 15, 120, lambda num_bytes: num_bytes * 8 // bits)


GSM_WAV = Blocks(65, 320)  # two frames, packed
GSM = Blocks(33, 160)
