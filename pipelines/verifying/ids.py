"""Ids that are given more than once: within a split and the rejects of it that were retried, and across splits.

Eight bytes a record are kept, a hash of its id; names are read again, of those records alone that need one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from melbeam.pipelines import files, words
from melbeam.pipelines.tfrecord import Record, read_tfrecord_file
from melbeam.pipelines.verifying.findings import MAX_LINES_OF_A_FILE, Findings
from melbeam.pipelines.verifying.marked_files import NO_LIMIT
from melbeam.transforms.folder_layout import RETRIED
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.record_ids import without_chunk

# What an id looks like that was not given: the SHA-256 of the audio.
_DEFAULT_ID = re.compile(r"[0-9a-f]{64}(#\d+)?")
_RETRIED = re.compile(f"({RETRIED})+$")
_NAMED = 5  # ids, or places of one
# The lowest bit of a hash says whether the id was given, so that hashes can be counted by that.
_GIVEN = np.uint64(1)


@dataclass
class ShardIds:
    """Hashes of the ids of one shard.

    Attributes:
        path: of the shard of features.
        records: uint64, one a feature record.
        clips: uint64, one a clip; those of `records` where no clip was chunked.
    """

    path: str
    records: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    clips: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))


def hash_of_id(record_id: str) -> int:
    """64 bits of an id, the lowest of which says whether it was given."""
    digest = int.from_bytes(hashlib.blake2b(record_id.encode(), digest_size=8).digest(), "little")
    return digest >> 1 << 1 | (_DEFAULT_ID.fullmatch(record_id) is None)


def check_ids(shards_of_splits: dict[str, list[ShardIds]], findings: Findings) -> None:
    """Looks for ids that are here more than once.

    Within a split, together with the retried rejects of it, a given id that is given twice is a fault, and the
    same audio twice a warning. Across splits both are warnings, with their number.

    Args:
        shards_of_splits: by the split's name.
        findings: that get what is found.
    """
    families: dict[str, list[str]] = {}  # a split, and those that its rejects became: they are read together
    for split in shards_of_splits:
        families.setdefault(_RETRIED.sub("", split), []).append(split)
    shards = {
        "+".join(names): [shard for name in names for shard in shards_of_splits[name]]
        for names in families.values()
    }
    for name, of_family in shards.items():
        _check_within(name, of_family, findings)
    clips = {name: np.unique(_joined(shard.clips for shard in of_family)) for name, of_family in shards.items()}
    for first, second in combinations(shards, 2):
        shared = np.intersect1d(clips[first], clips[second], assume_unique=True)
        if len(shared):
            _warn_of_shared(f"{first} and {second}", shared, shards[first], shards[second], findings)


def _check_within(name: str, shards: list[ShardIds], findings: Findings) -> None:
    hashes = np.sort(_joined(shard.records for shard in shards))
    twice = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    given = twice & _GIVEN == _GIVEN
    for wanted, note, text in (
        (twice[given], findings.fault, "id {0!r} is given more than once: {1}; give each record its own"),
        (twice[~given], findings.warn, "the same audio, {0}, is here more than once: {1}"),
    ):
        shown = wanted[:MAX_LINES_OF_A_FILE]
        for record_id, places in sorted(_places(shards, shown, of_clips=False).items()):
            note(name, text.format(record_id, ", ".join(places)))
        if len(wanted) > len(shown):
            note(name, f"{len(wanted)} ids in all are here more than once")


def _warn_of_shared(
    names: str,
    shared: np.ndarray,
    first: list[ShardIds],
    second: list[ShardIds],
    findings: Findings,
) -> None:
    given = shared & _GIVEN == _GIVEN
    for wanted, what, why in (
        (shared[given], "given id", ""),
        (shared[~given], "default id", " (hashes of the same audio)"),
    ):
        if not len(wanted):
            continue
        examples = [_places(shards, wanted[:_NAMED], of_clips=True) for shards in (first, second)]
        named = [
            f"{clip_id} ({examples[0][clip_id][0]}, {examples[1][clip_id][0]})"
            for clip_id in sorted(examples[0].keys() & examples[1].keys())
        ]
        findings.warn(names, f"{words.count(len(wanted), what)}{why} in both: {words.named(named, len(wanted))}")


def _joined(arrays: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.uint64), *arrays])


def _places(shards: Sequence[ShardIds], wanted: np.ndarray, *, of_clips: bool) -> dict[str, list[str]]:
    """The ids of some hashes, and a few places of each; only shards that have one are read."""
    places: dict[str, list[str]] = {}
    for shard in shards:
        missing = set(wanted[np.isin(wanted, shard.clips if of_clips else shard.records)].tolist())
        for number, record_id in _ids(shard.path, of_clips=of_clips) if missing else ():
            if hash_of_id(record_id) in missing:
                found = places.setdefault(record_id, [])
                found.append(f"{shard.path}#{number}")
                del found[_NAMED:]
    return places


def _ids(path: str, *, of_clips: bool) -> Iterator[tuple[int, str]]:
    """Numbers and ids of a shard's records that have one; a chunk's, or that of its clip."""
    for item in read_tfrecord_file(path, max_record_bytes=NO_LIMIT) if files.exists(path) else ():
        if not isinstance(item, Record):
            continue
        with suppress(Exception):  # protobuf's, and whatever a wrong shape gives: told by the first pass
            features = Example.FromString(item.data).features.feature
            (record_id,) = (value.decode() for value in features["id"].bytes_list.value)
            if of_clips and "chunk_index" in features:
                record_id = without_chunk(record_id, features["chunk_index"].int64_list.value[0])
            yield item.number, record_id
