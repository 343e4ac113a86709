"""Stored features for PyTorch's DataLoader: `melbeam[torch]`.

`FeatureSource` is a map-style data set as it is. Here is how its clips become batches, and which go together::

    source = FeatureSource("features/1.0.0", front_end="gemma4")
    sampler = BucketBatchSampler(source.num_frames, most_frames=48_000, shuffle=True, seed=1)
    collate = Collate(source.front_end)
    loader = DataLoader(source, batch_sampler=sampler, collate_fn=collate, num_workers=2)
    for epoch in range(first_epoch, 3):
        sampler.set_epoch(epoch, first_batch=batches_done if epoch == first_epoch else 0)
        for batch in loader: ...

Where training stopped, it goes on: an epoch's batches are known before any clip is read, so those that were
trained on are left out, and cost nothing.

Workers may be made by fork or by spawn: no TensorFlow is there, which does not survive a fork.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from melbeam.transforms.bounds import check_flag, check_integer
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.presets import find_front_end
from melbeam.transforms.reading.arrays import HAVE_A_MASK, MASK
from melbeam.transforms.reading.buckets import bucket_ends, num_batches
from melbeam.transforms.reading.tensors import to_torch
from melbeam.transforms.records.schema import TENSOR

try:
    import torch
    from torch.utils.data import Sampler
except ImportError as error:
    raise ImportError("melbeam.transforms.torch_data needs PyTorch: pip install 'melbeam[torch]'") from error

__all__ = ["BucketBatchSampler", "Collate"]


@dataclass(frozen=True, init=False)
class Collate:
    """Makes a batch of clips of `FeatureSource`, as `read_features` does.

    Attributes:
        front_end: of the features: it says whether the model takes a mask or the full length.
    """

    front_end: FrontEnd

    def __init__(self, front_end: FrontEnd | str | Path) -> None:
        """Names the front end, the source's, as `find_front_end` takes it.

        Raises:
            ValueError: nothing is called so, or what it names is wrong.
        """
        object.__setattr__(self, "front_end", find_front_end(front_end))

    def __call__(self, clips: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A batch.

        Returns:
            "input_features" `[batch, frames, mels]`: where the model takes a mask, zeros behind each clip, and
            with "input_features_mask", bool `[batch, frames]`, True where frames are valid; else at the full
            length. Numbers are tensors `[batch]`; `bytes` and arrays of values are lists. bfloat16 becomes
            PyTorch's.

        Raises:
            ValueError: there are no clips, they have different fields, or one says that its features
                are of another front end; or the model takes a mask, and they have no "num_frames", or have a mask
                already.
        """
        if not clips:
            raise ValueError("a batch must have at least one clip")
        self._check_front_ends(clips)
        names = set(clips[0])
        for clip in clips:
            if set(clip) != names:
                differing = ", ".join(sorted(set(clip) ^ names))
                raise ValueError(f"the clips of a batch must have the same fields, and not all have {differing}")
        batch: dict[str, Any] = {}
        for name in clips[0]:
            values = [clip[name] for clip in clips]
            is_number = isinstance(values[0], np.number)
            batch[name] = torch.from_numpy(np.array(values)) if is_number else values
        if TENSOR in batch:
            made = self._features(batch[TENSOR], batch.get("num_frames"))
            if MASK in made and MASK in batch:
                raise ValueError(HAVE_A_MASK)
            batch |= made
        return batch

    def _check_front_ends(self, clips: Sequence[Mapping[str, Any]]) -> None:
        """Refuses clips of another front end, whose silence and length are another's."""
        said = {clip["front_end"]: clip.get("id") for clip in clips if "front_end" in clip}
        expected = self.front_end.short_fingerprint if said else ""
        for found, clip_id in said.items():
            if found.decode() != expected:
                raise ValueError(
                    f"a clip (id {clip_id!r}) is of front end {found.decode()}, and Collate is for "
                    f"{self.front_end.name!r} ({expected}): pass it the source's, source.front_end"
                )

    def _features(self, features: list[np.ndarray], num_frames: torch.Tensor | None) -> dict[str, torch.Tensor]:
        if self.front_end.takes_full_length:
            return {TENSOR: to_torch(np.stack(features))}
        if num_frames is None:  # a job may have stored rows of silence behind the valid ones
            raise ValueError(
                "clips need 'num_frames' for their mask: read it too, "
                f"FeatureSource(folder, features=[{TENSOR!r}, 'num_frames', ...])"
            )
        frames = num_frames.tolist()
        rows = max(map(len, features))
        padded = np.zeros((len(features), rows, features[0].shape[1]), features[0].dtype)
        for row, clip, count in zip(padded, features, frames, strict=True):
            row[:count] = clip[:count]
        mask = torch.arange(rows)[None] < torch.tensor(frames)[:, None]
        return {TENSOR: to_torch(padded), MASK: mask}


class BucketBatchSampler(Sampler[list[int]]):  # type: ignore[misc, unused-ignore] # where torch is not installed
    """Batches of clips of about the same length, of at most so many padded frames each, for a DataLoader.

    Args:
        num_frames: of each clip, `FeatureSource.num_frames`.
        most_frames: of a batch, padding counted.
        shuffle: which clips are batched together, and the order of the batches; another one in every epoch.
        seed: of the shuffling; the same on all ranks.
        rank: of this process, among `num_ranks` that share the batches. Each has as many: the first batches are
            repeated where they do not divide evenly, as PyTorch's DistributedSampler repeats clips.
        num_ranks: processes in all.

    Raises:
        ValueError: an argument is out of its bounds, or a clip has more frames than a batch may have.
    """

    def __init__(
        self,
        num_frames: np.ndarray,
        most_frames: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
    ) -> None:
        check_integer("most_frames", most_frames, at_least=1)
        check_integer("num_ranks", num_ranks, at_least=1)
        check_integer("rank", rank, at_least=0, at_most=num_ranks - 1)
        check_integer("seed", seed, at_least=0)
        check_flag("shuffle", shuffle)
        frames = np.asarray(num_frames)
        if frames.ndim != 1 or (len(frames) and frames.dtype.kind not in "iu"):
            raise ValueError(
                f"num_frames must be whole numbers [clips], as FeatureSource.num_frames, got "
                f"{frames.dtype.name} of shape {frames.shape}"
            )
        if len(frames) and frames.max() > most_frames:
            raise ValueError(f"a clip has {frames.max()} frames, more than most_frames={most_frames}: raise it")
        ends = np.array(bucket_ends(most_frames))
        self._buckets = np.searchsorted(ends, frames)
        self._sizes = most_frames // ends
        self._shuffle, self._seed, self._epoch, self._first_batch = shuffle, seed, 0, 0
        self._rank, self._num_ranks = rank, num_ranks
        self._num_batches = num_batches(frames, most_frames, drop_remainder=False)

    def set_epoch(self, epoch: int, *, first_batch: int = 0) -> None:
        """Says which epoch comes, on every rank the same, so that its order is another one.

        Args:
            epoch: its number, from 0.
            first_batch: of this rank's in the epoch, where training goes on in its middle: those before it are
                left out, and the others are what they would have been.

        Raises:
            ValueError: a number is out of its bounds.
        """
        check_integer("epoch", epoch, at_least=0)
        check_integer("first_batch", first_batch, at_least=0, at_most=self._batches_of_an_epoch)
        self._epoch, self._first_batch = int(epoch), int(first_batch)

    @property
    def _batches_of_an_epoch(self) -> int:
        return -(-self._num_batches // self._num_ranks)

    def __len__(self) -> int:
        return self._batches_of_an_epoch - self._first_batch

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng([self._seed, self._epoch])
        clips = random.permutation(len(self._buckets)) if self._shuffle else np.arange(len(self._buckets))
        batches: list[list[int]] = []
        for bucket in np.unique(self._buckets):
            here, size = clips[self._buckets[clips] == bucket], int(self._sizes[bucket])
            batches += [here[first : first + size].tolist() for first in range(0, len(here), size)]
        order = random.permutation(len(batches)) if self._shuffle else np.arange(len(batches))
        for number in range(self._first_batch, self._batches_of_an_epoch):
            yield batches[order[(number * self._num_ranks + self._rank) % len(batches)]]
