"""Features against a reference: records recomputed from their source audio by another package."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from glob import escape
from itertools import groupby
from operator import attrgetter

import numpy as np

from melbeam.pipelines import files
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources.kinds import OF_ONE_FILE
from melbeam.pipelines.sources.planning import read_unit
from melbeam.pipelines.sources.units import AudioRecord, Item, Unit
from melbeam.pipelines.split.plan import Shard, find_parts
from melbeam.pipelines.verifying.feature_records import Feature, read_feature
from melbeam.pipelines.verifying.findings import Findings
from melbeam.pipelines.verifying.marked_files import read_whole
from melbeam.pipelines.verifying.references import reference
from melbeam.pipelines.verifying.splits import Split
from melbeam.transforms.records.examples import read_as_converted
from melbeam.transforms.records.levels import levels
from melbeam.transforms.records.rejects import Reject

# How far stored features may be from a reference's, 99 of 100 values: its float32 rounding in quiet bins, and that
# of the stored dtype.
_LIMITS = {"float32": 1e-2, "float16": 2e-2, "bfloat16": 1e-1}
# How far stored levels may be from those of audio that another machine decodes and resamples: the last bits of its
# samples decide the quietest levels, and on which side of a threshold a block or a sample falls.
_MAX_DECIBELS, _MAX_FRACTION = 0.1, 0.01
_QUIETEST_DBFS = -100.0


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
            raise UsageError(
                Refusal.NO_REFERENCE, f"--against={package} needs it: pip install {package} ({error})"
            ) from error
        except ValueError as error:
            raise UsageError(Refusal.NO_REFERENCE, f"--against={package}: {error}") from error
        largest, usual, worst = [], [], (-1.0, "")
        for path, number, feature, samples in _sampled(split, sample, findings):
            rows, valid = compute(samples)
            # A model that takes the full length also hears what lies behind the clip.
            stored = feature.rows if split.front_end.takes_full_length else feature.values
            if package == "transformers" and len(valid) < len(stored):
                fewer = f"id {feature.record.id!r} has {len(stored)} frames, {package} has {len(valid)}"
                findings.fault(path, fewer, number)
            valid = valid[valid < len(stored)]
            apart = np.abs(stored[valid].astype(np.float64) - rows[valid])
            largest.append(float(apart.max(initial=0.0)))
            usual.append(float(np.percentile(apart, 99)) if apart.size else 0.0)
            worst = max(worst, (largest[-1], feature.record.id))
            if usual[-1] > _LIMITS[split.options.dtype]:
                findings.fault(
                    path,
                    f"id {feature.record.id!r} is {usual[-1]:.2g} from {package} (99 of 100 values), more than "
                    "its rounding: these are not its features; extract again with --overwrite",
                    number,
                )
        if largest:
            lines.append(
                f"{split.folder.split}: {len(largest)} records against {package}: at most {worst[0]:.2g} apart "
                f"(id {worst[1]!r}), 99 of 100 values at most {max(usual):.2g}; the median record "
                f"{np.median(largest):.2g} and {np.median(usual):.2g}"
            )
    return lines


def _sampled(split: Split, sample: int, findings: Findings) -> Iterator[tuple[str, int, Feature, np.ndarray]]:
    """Records evenly spread over the split: path and number, the record, and its samples, decoded again.

    Shards without one are not read, and of a large input file that became several shards only the wanted parts.
    """
    total = split.summary.num_features
    wanted = sorted({i * total // sample for i in range(sample)} if total > sample else range(total))
    first = 0
    for _, of_one_file in groupby(split.shards, attrgetter("path")):
        shards, positions = list(of_one_file), {}
        for shard in shards:
            count = split.summary.shard_features[shard.index]
            positions[shard.index] = {index - first for index in wanted if first <= index < first + count}
            first += count
        if any(positions.values()):
            _check_source(shards[0], split)
            for shard in find_parts(shards, split.options.max_record_bytes):
                yield from _sampled_of_shard(shard, positions[shard.index], split, findings)


def _sampled_of_shard(
    shard: Shard, positions: set[int], split: Split, findings: Findings
) -> Iterator[tuple[str, int, Feature, np.ndarray]]:
    """Records at some positions of a shard, as `_sampled` gives them."""
    source = _Source(shard, split)
    path = split.folder.shard(shard.index, shard.num_shards)
    for position, record in enumerate(read_whole(path, findings) if positions else ()):
        if position in positions:
            feature = read_feature(record.data, split)
            try:
                clip = source.samples(feature)
            except Reject as reject:
                detail = f"id {feature.record.id!r}: {feature.source} is a reject by now, {reject}; extract again"
                findings.fault(path, detail, record.number)
                continue
            samples = clip[feature.start : feature.start + feature.num_samples]
            wrong = _wrong_length(feature, clip, split) or _wrong_level(feature, samples, split)
            if wrong:
                detail = f"id {feature.record.id!r} has {wrong}; extract again with --overwrite"
                findings.fault(path, detail, record.number)
            else:
                yield path, record.number, feature, samples
        if position >= max(positions):
            return


def _wrong_length(feature: Feature, clip: np.ndarray, split: Split) -> str | None:
    """What is wrong of a record's length, in words, when its clip is decoded again."""
    end = feature.start + feature.num_samples
    longest = split.front_end.max_samples if feature.chunk is None else split.chunking.length
    may_be_cut = feature.chunk is not None or (
        feature.is_truncated if split.record_version >= 2 else split.options.on_long == "truncate"
    )
    if feature.is_between_texts and len(clip) >= end:
        return None
    if len(clip) < end or (len(clip) > end and not (may_be_cut and feature.num_samples == longest)):
        trimmed = feature.chunk is not None and split.front_end.num_frames(max(0, len(clip) - end)) == 0
        if len(clip) < end or not trimmed:
            return f"{feature.num_samples} samples from {feature.start}, its clip has {len(clip)}"
    return None


def _wrong_level(feature: Feature, samples: np.ndarray, split: Split) -> str | None:
    """Which of a record's levels is wrong, in words, when its clip is decoded again."""
    for name, level in levels(samples, split.front_end.sampling_rate).items() if feature.levels else ():
        limit = _MAX_DECIBELS if name.endswith("_dbfs") else _MAX_FRACTION
        if abs(feature.levels[name] - level) > limit and feature.levels["peak_dbfs"] > _QUIETEST_DBFS:
            return f"{name} {feature.levels[name]:.6g}, the samples of its clip have {level:.6g}"
    return None


def _check_source(shard: Shard, split: Split) -> None:
    """Sees to it that the input file is there as it was.

    Raises:
        UsageError: it is not.
    """
    if shard.unit.kind not in OF_ONE_FILE:
        return  # a unit of several files, each of which is missed when it is read
    sizes = [size for _, size in files.match(escape(shard.path))]
    if sizes != [shard.unit.size]:
        now = f"has {sizes[0]} bytes, not {shard.unit.size}" if sizes else "is not there any more"
        raise UsageError(
            Refusal.SOURCE_IS_GONE, f"{shard.path}, the source of {split.folder.split}, {now}: put it back"
        )


class _Source:
    """A unit of the input, read along with the features that were made of it, which have its order."""

    def __init__(self, shard: Shard, split: Split) -> None:
        self._shard, self._split = shard, split
        self._items = self._open()
        self._number = -1
        self._samples: np.ndarray = np.zeros(0, np.float32)

    def _open(self) -> Iterator[Item]:
        return read_unit(self._shard.unit, self._split.options.max_record_bytes)

    def samples(self, feature: Feature) -> np.ndarray:
        """The samples of the clip, or of its channel, that the feature was made of, read and decoded again.

        Raises:
            Reject: the clip cannot be decoded, by this melbeam.
            UsageError: the record is not there any more, or is another one.
        """
        place = Unit.parse_place(feature.source)
        if place is None:
            raise UsageError(Refusal.SOURCE_IS_GONE, f"{feature.source!r} names no record of the input")
        number = place[1]
        if number < self._number:
            self._items = self._open()
        if number != self._number:
            item = next((item for item in self._items if item.number == number), None)
            if not isinstance(item, AudioRecord):
                raise UsageError(
                    Refusal.SOURCE_IS_GONE, f"{feature.source}: the source record is not there any more"
                )
            # Whatever the job did, a check of its features checks the audio's own checksum too.
            options = replace(self._split.options, check_md5=True)
            audio_example = read_as_converted(item.data, options, self._split.front_end.sampling_rate)
            if audio_example.id != feature.audio_id:
                raise UsageError(
                    Refusal.SOURCE_IS_GONE,
                    f"{feature.source} is another record by now: its id is {audio_example.id!r}, and the features "
                    f"are of {feature.audio_id!r}: put the source back",
                )
            self._number, self._samples = number, audio_example.audio.samples
        if feature.channel is None:
            return self._samples
        if feature.channel >= self._samples.shape[1]:
            raise Reject("no_channel", f"its clip has {self._samples.shape[1]} channels")
        return self._samples[:, feature.channel]
