"""Features against a reference: records recomputed from their source audio by another package."""

from __future__ import annotations

from collections.abc import Iterator
from glob import escape

import numpy as np

from melbeam.pipelines import files
from melbeam.pipelines.exit_status import UsageError
from melbeam.pipelines.split.plan import Shard
from melbeam.pipelines.tfrecord import Damage, Record, read_tfrecord_file
from melbeam.pipelines.verifying.checks import Feature, Findings, Split, read_whole
from melbeam.pipelines.verifying.references import reference
from melbeam.transforms.records.examples import read_audio_example
from melbeam.transforms.records.rejects import Reject

# How far stored features may be from a reference's, 99 of 100 values: its float32 rounding in quiet bins, and that
# of the stored dtype.
_LIMITS = {"float32": 1e-2, "float16": 2e-2, "bfloat16": 1e-1}


def compare(splits: list[Split], package: str, sample: int, findings: Findings) -> list[str]:
    """Recomputes records, evenly spread over each split, from the source audio with a reference.

    Raises:
        UsageError: the reference is not installed, does not have the front end, or the source audio is gone.
    """
    lines = []
    for split in splits:
        try:
            compute = reference(package, split.front_end)
        except ImportError as error:
            raise UsageError(f"--against={package} needs it: pip install {package} ({error})") from error
        except ValueError as error:
            raise UsageError(f"--against={package}: {error}") from error
        largest, usual, worst = [], [], (-1.0, "")
        for where, feature, samples in _sampled(split, sample, findings):
            rows, valid = compute(samples)
            if package == "transformers" and len(valid) < len(feature.values):
                fewer = f"{len(feature.values)} frames, {package} has {len(valid)}"
                findings.fault(where, f"id {feature.id!r}: {fewer}")
            valid = valid[valid < len(feature.values)]
            apart = np.abs(feature.values[valid].astype(np.float64) - rows[valid])
            largest.append(float(apart.max(initial=0.0)))
            usual.append(float(np.percentile(apart, 99)) if apart.size else 0.0)
            worst = max(worst, (largest[-1], feature.id))
            if usual[-1] > _LIMITS[split.options.dtype]:
                findings.fault(
                    where,
                    f"id {feature.id!r} is {usual[-1]:.2g} from {package} (99 of 100 values), more than its "
                    "rounding: these are not its features; extract again with --overwrite",
                )
        if largest:
            lines.append(
                f"{split.folder.split}: {len(largest)} records against {package}: at most {worst[0]:.2g} apart "
                f"(id {worst[1]!r}), 99 of 100 values at most {max(usual):.2g}; the median record "
                f"{np.median(largest):.2g} and {np.median(usual):.2g}"
            )
    return lines


def _sampled(split: Split, sample: int, findings: Findings) -> Iterator[tuple[str, Feature, np.ndarray]]:
    """Records evenly spread over the split, with their audio; shards without one are not read."""
    total = split.summary.num_features
    wanted = sorted({i * total // sample for i in range(sample)} if total > sample else range(total))
    first = 0
    for shard in split.shards:
        count = split.summary.shard_features[shard.index]
        here = {index - first for index in wanted if first <= index < first + count}
        first += count
        if not here:
            continue
        source = _Source(shard, split)
        path = split.folder.shard(shard.index, shard.num_shards)
        for position, (number, record) in enumerate(read_whole(path, findings)):
            where = f"{path}, record {number}"
            if position in here and (feature := Feature.of(record, where, split, findings)):
                yield where, feature, source.audio(feature)


class _Source:
    """An input file, read along with the features that were made of it, which have its order."""

    def __init__(self, shard: Shard, split: Split) -> None:
        self._shard, self._split = shard, split
        sizes = [size for _, size in files.match(escape(shard.path))]
        if sizes != [shard.size]:
            now = f"has {sizes[0]} bytes, not {shard.size}" if sizes else "is not there any more"
            raise UsageError(f"{shard.path}, the source of {split.folder.split}, {now}: put it back")
        self._items = self._open()
        self._number, self._samples = -1, np.zeros(0, np.float32)

    def _open(self) -> Iterator[Record | Damage]:
        return read_tfrecord_file(self._shard.path, max_record_bytes=self._split.options.max_record_bytes)

    def audio(self, feature: Feature) -> np.ndarray:
        """The samples that the feature was made of, read and decoded again."""
        number = int(feature.source.rpartition("#")[2])
        if number < self._number:
            self._items = self._open()
        if number != self._number:
            item = next((item for item in self._items if item.number == number), None)
            if not isinstance(item, Record):
                raise UsageError(f"{feature.source}: the source record is not there any more")
            try:
                audio_example = read_audio_example(
                    item.data,
                    sampling_rate=self._split.front_end.sampling_rate,
                    audio_format=self._split.options.audio_format,
                    pcm_sampling_rate=self._split.options.pcm_sampling_rate,
                    cut_tolerance_seconds=self._split.options.cut_tolerance_seconds,
                    check_md5=True,
                )
            except Reject as reject:
                raise UsageError(f"{feature.source}: its audio is a reject here, {reject}") from reject
            self._number, self._samples = number, audio_example.audio.samples
        return self._samples[feature.start : feature.start + feature.num_samples]
