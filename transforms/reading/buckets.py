"""Which clips are batched together, by their length; this module needs no TensorFlow."""

from __future__ import annotations

import numpy as np

# The longest of a bucket by the shortest. Of lengths that spread log-normal over 1 to 30 s, 6 % of a batch is
# padding then (benchmarks/reading.py), and a corpus falls into some 25 buckets, which all are half full in memory.
_RATIO = 1.15


def bucket_ends(most_frames: int) -> list[int]:
    """The longest clip of each bucket, in frames, up to the most that a batch may have."""
    ends = [1]
    while ends[-1] < most_frames:
        ends.append(min(most_frames, max(ends[-1] + 1, int(ends[-1] * _RATIO))))
    return ends


def num_batches(num_frames: np.ndarray, most_frames: int, *, drop_remainder: bool) -> int:
    """The batches that clips of these lengths fill, in whatever order they come."""
    ends = np.array(bucket_ends(most_frames))
    clips = np.bincount(np.searchsorted(ends, num_frames), minlength=len(ends))
    sizes = most_frames // ends
    return int(np.sum(clips // sizes if drop_remainder else -(-clips // sizes)))
