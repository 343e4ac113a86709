"""The MD5 of its samples that a FLAC keeps, which libsndfile does not check."""

from __future__ import annotations

import hashlib

import numpy as np

from melbeam.transforms.records.containers.flac import read_stream_info, start_of_stream
from melbeam.transforms.records.rejects import Reject

_MAX_BITS_OF_FLOAT32 = 24


class FlacDigest:
    """The MD5 over decoded samples, to be held against a FLAC's own.

    It is taken of little-endian integers of the stream's bits, rounded up to whole bytes, channels interleaved
    (RFC 9639, section 8.2).
    """

    def __init__(self, md5: bytes, bits: int) -> None:
        self._expected = md5
        self._bits = bits
        self._digest = hashlib.md5(usedforsecurity=False)

    @classmethod
    def of(cls, data: bytes) -> FlacDigest | None:
        """The digest of a FLAC's bytes, or None for another format or a FLAC that keeps none."""
        start = start_of_stream(data)
        if start < 0:
            return None
        info = read_stream_info(data[start:])
        return cls(info.md5, info.bits) if any(info.md5) else None

    def update(self, block: np.ndarray) -> None:
        """Takes the next samples.

        Args:
            block: `[num_samples, num_channels]`, float32 as libsndfile scales them (a stream of up to 24 bits is
                exact in those) or int32 with the sample in the upper bits.
        """
        if block.dtype == np.int32:
            values = block >> (32 - self._bits)
        else:
            if self._bits > _MAX_BITS_OF_FLOAT32:
                raise ValueError(f"float32 does not hold {self._bits} bits; pass int32")
            values = np.rint(block * np.float32(2 ** (self._bits - 1))).astype(np.int32)
        num_bytes = (self._bits + 7) // 8
        if num_bytes in (1, 2, 4):
            self._digest.update(values.astype(f"<i{num_bytes}").tobytes())
        else:
            four = np.ascontiguousarray(values, "<i4").view(np.uint8).reshape(-1, 4)
            self._digest.update(four[:, :num_bytes].tobytes())

    def check(self) -> None:
        """Holds the digest of what was taken against the file's.

        Raises:
            Reject: bad_audio.
        """
        found = self._digest.hexdigest()
        if found != self._expected.hex():
            wanted = self._expected.hex()
            raise Reject("bad_audio", f"a damaged FLAC: the MD5 of its samples is {found}, it promises {wanted}")
