"""How much of a training batch is padding: clips in batches as they come, and in buckets by their length.

    python benchmarks/reading.py

It counts with the lengths alone, of 10,000 clips whose seconds are log-normal between 1 and 30 (median 6 s), and
with the rule by which `read_features(bucket_by_frames=...)` makes its batches.
"""

from __future__ import annotations

import numpy as np

from melbeam.transforms.reading.buckets import bucket_ends, num_batches

NUM_CLIPS, FRAMES_A_SECOND, SEED = 10_000, 100, 1


def lengths() -> np.ndarray:
    random = np.random.default_rng(SEED)
    seconds = random.lognormal(np.log(6), 0.7, 4 * NUM_CLIPS)
    return (FRAMES_A_SECOND * seconds[(seconds >= 1) & (seconds <= 30)][:NUM_CLIPS]).astype(int)


def batches_of(frames: np.ndarray, batch_size: int) -> list[np.ndarray]:
    return [frames[first : first + batch_size] for first in range(0, len(frames), batch_size)]


def bucketed(frames: np.ndarray, most_frames: int) -> list[np.ndarray]:
    ends = np.array(bucket_ends(most_frames))
    buckets = np.searchsorted(ends, frames)
    return [
        batch
        for bucket in np.unique(buckets)
        for batch in batches_of(frames[buckets == bucket], most_frames // ends[bucket])
    ]


def padding(batches: list[np.ndarray]) -> float:
    padded = sum(len(batch) * batch.max() for batch in batches)
    return 1 - sum(batch.sum() for batch in batches) / padded


def main() -> None:
    frames = lengths()
    print(f"{len(frames)} clips, {frames.sum() / FRAMES_A_SECOND / 3600:.1f} h, seed {SEED}")
    for batch_size in (8, 16, 32):
        batches = batches_of(frames, batch_size)
        print(f"  batch_size={batch_size:<13} {len(batches):5} batches, {padding(batches):6.1%} padding")
    for most_frames in (6_000, 12_000, 24_000, 48_000):
        batches = bucketed(frames, most_frames)
        assert len(batches) == num_batches(frames, most_frames, drop_remainder=False)
        print(f"  bucket_by_frames={most_frames:<7} {len(batches):5} batches, {padding(batches):6.1%} padding")


if __name__ == "__main__":
    main()
