"""The ids of clips that splits of the folder have already, which `--not_in` leaves out.

Sixteen bytes an id are kept, a hash of it: of a billion clips, no two are taken for one another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np

from melbeam.pipelines import files
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.split.finding import has_no_split
from melbeam.pipelines.split.job_file import UnusableJobFile, read_job
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.pipelines.tfrecord import Record, read_tfrecord_file
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.records.examples import audio_features, clip_id_in
from melbeam.transforms.records.record_ids import parts_of_channel, without_chunk
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.schema import MAX_EXAMPLE_BYTES, TENSOR

_ID = np.dtype([("first", "<u8"), ("second", "<u8")])


class KnownIds:
    """A set of ids.

    Args:
        hashes: `_ID` `[num_ids]`, in any order, as bytes.
    """

    def __init__(self, hashes: bytes = b"") -> None:
        found = np.sort(np.frombuffer(hashes, _ID))
        # Each half lies by itself: a search in every other word of an array would copy it first.
        self._first, self._second = np.ascontiguousarray(found["first"]), np.ascontiguousarray(found["second"])

    def __contains__(self, clip_id: str) -> bool:
        first, second = np.frombuffer(hash_of_id(clip_id), np.uint64)
        start, end = np.searchsorted(self._first, first, "left"), np.searchsorted(self._first, first, "right")
        return bool((self._second[start:end] == second).any())

    def __len__(self) -> int:
        return len(self._first)


NONE_KNOWN = KnownIds()


def is_known_record(record: bytes, known: KnownIds) -> bool:
    """Whether a serialized audio record's clip is among those; one that cannot be parsed is not."""
    try:
        return is_known(audio_features(record), known)
    except Reject:
        return False


def is_known(features: Any, known: KnownIds) -> bool:
    """Whether an audio record's clip is among those; one that has no id and no audio is not."""
    if not known:
        return False  # without hashing the audio of what has no id of its own
    try:
        return clip_id_in(features) in known
    except Reject:
        return False


def hash_of_id(clip_id: str) -> bytes:
    """128 bits of an id."""
    return _hash(clip_id.encode(), b"melbeam id")


def _hash(data: bytes, what: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_ID.itemsize, person=what).digest()


def ids_of_file(path: str, of_channels: bool) -> Iterator[bytes]:
    """Yields the hashes of the ids of a shard's clips, joined: one a record, also where that has no clip.

    Args:
        path: of the shard.
        of_channels: whether each channel of a clip has a record of its own, `id@0`.

    Raises:
        OSError: the shard cannot be read.
        ValueError: a record of it is damaged, so that its clip cannot be told.
    """
    found: list[bytes] = []
    for item in read_tfrecord_file(path, max_record_bytes=MAX_EXAMPLE_BYTES):
        if not isinstance(item, Record):
            raise ValueError(
                f"record {item.number} of {path} is damaged ({item.detail}), so that --not_in cannot tell its "
                "clip: make that split again first"
            )
        try:
            found.append(hash_of_id(clip_of(audio_features(item.data), of_channels=of_channels)))
        except Reject:  # of no clip: ingest copies a record as it is, for extract to turn away
            found.append(_hash(item.data, b"melbeam no id"))
    yield b"".join(found)


def clip_of(features: Any, *, of_channels: bool) -> str:
    """The id of the clip that an audio or a feature record is of, or is a chunk or a channel of."""
    is_chunk = "chunk_index" in features and TENSOR in features
    chunk = features["chunk_index"].int64_list.value[0] if is_chunk else None
    clip_id = without_chunk(clip_id_in(features), chunk)
    parts = parts_of_channel(clip_id) if of_channels else None
    return clip_id if parts is None else parts[0]


def ids_to_leave_out(pipeline: Any, output: str, names: Collection[str]) -> Any:
    """The ids of some finished splits, for a step on Beam: as a side input, or none of them where none is named.

    Args:
        pipeline: that reads them.
        output: the folder of the splits.
        names: of the splits.
    """
    if not names:
        return NONE_KNOWN
    folders = [SplitFolder(output, name) for name in names]
    return beam.pvalue.AsSingleton(
        pipeline
        | "KnownSplits" >> beam.Create(folders, reshuffle=False)
        | "KnownShards" >> beam.FlatMap(_shards_to_read)
        | "SpreadKnownShards" >> beam.Reshuffle()
        | "ReadKnownIds" >> beam.FlatMapTuple(ids_of_file)
        | "JoinKnownIds" >> beam.CombineGlobally(_joined)
        | "KnownIds" >> beam.Map(_known, folders)
    )


def _known(hashes: bytes, folders: Sequence[SplitFolder]) -> KnownIds:
    """The set of the ids that were read.

    Raises:
        ValueError: they are not those of all records of the splits, so that clips would be taken again.
    """
    known = KnownIds(hashes)
    expected = sum(SplitSummary.read(folder.summary).num_features for folder in folders)
    if len(known) != expected:
        names = ", ".join(repr(folder.split) for folder in folders)
        raise ValueError(
            f"--not_in: {len(known)} of {expected} ids of {names} of {folders[0].output} were read: is each shard "
            "whole? `melbeam verify` tells"
        )
    return known


def _joined(parts: Iterable[bytes]) -> bytes:
    return b"".join(parts)


def _shards_to_read(folder: SplitFolder) -> list[tuple[str, bool]]:
    """The shards of a finished split, and whether each channel of a clip has a record of its own there."""
    count = len(SplitSummary.read(folder.summary).shard_features)
    of_channels = ((read_job(folder) or {}).get("identity") or {}).get("channels") == "split"
    return [(folder.shard(index, count), of_channels) for index in range(count)]


def check_not_in(output: str, asked: str | None, splits: Sequence[str]) -> dict[str, str]:
    """The splits that `--not_in` names, with the hash of the job that made each.

    Args:
        output: the folder of the splits.
        asked: names, with `+` or commas between them; None for none.
        splits: that the job makes.

    Raises:
        UsageError: a name is none of a finished split of the folder, or one that the job itself makes.
    """
    found: dict[str, str] = {}
    for name in [] if asked is None else asked.replace(",", "+").split("+"):
        name = name.strip()
        if name in splits:
            what = f"{name!r} is the split that is to be made: name earlier ones"
            raise UsageError(Refusal.CONTRADICTION, f"--not_in={asked}: {what}")
        folder = SplitFolder(output, name)
        try:
            job = read_job(folder) if name else None
        except UnusableJobFile as error:
            raise UsageError(Refusal.UNUSABLE_JOB_FILE, f"--not_in={asked}: {error}") from error
        if job is None:
            raise UsageError(Refusal.NO_SPLIT, f"--not_in={asked}: {has_no_split(output, name)}")
        if not files.exists(folder.summary):
            raise UsageError(
                Refusal.NO_SPLIT,
                f"--not_in={asked}: split {name!r} of {output} is not finished, so that its clips are not all "
                "known: finish it first, by the command that began it",
            )
        found[name] = job["hash"]
    return found
