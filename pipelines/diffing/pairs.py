"""The records of two splits paired by their ids, in whatever order they lie.

A split is kept as one 64-bit hash a record, so that pairing takes some 40 bytes for a record of both. The ids
themselves are held against each other when a pair is read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from melbeam.transforms.reading.records import FolderRecords

NO_PARTNER = -1


@dataclass(frozen=True)
class Pairs:
    """Which records of two splits belong together: of an id that is there twice, the first with the first.

    Attributes:
        partners: for each record of A the number of B's, or `NO_PARTNER`; int64 `[records of A]`.
        only_in_b: numbers of the records of B that are nobody's partner, int64, ascending.
        repeated: the ids that A, and that B, has more than once; their numbers.
    """

    partners: np.ndarray
    only_in_b: np.ndarray
    repeated: tuple[int, int]


def hashes_of(records: FolderRecords) -> np.ndarray:
    """A hash of each record's id, uint64 `[records]`; every byte of the split is read.

    Raises:
        ValueError: a shard is damaged.
    """
    ids = np.empty(len(records), np.uint64)
    for number, (_, record) in enumerate(FolderRecords(records.folder, ["id"])):
        ids[number] = int.from_bytes(hashlib.blake2b(record["id"], digest_size=8).digest(), "little")
    return ids


def pair(ids_of_a: np.ndarray, ids_of_b: np.ndarray) -> Pairs:
    """Pairs the records of two splits by the hashes of their ids."""
    order_of_a, order_of_b = (np.argsort(ids, kind="stable") for ids in (ids_of_a, ids_of_b))
    sorted_a, sorted_b = ids_of_a[order_of_a], ids_of_b[order_of_b]
    # How many of the same id come before each: the k-th of A belongs to the k-th of B.
    earlier = np.arange(len(sorted_a)) - np.searchsorted(sorted_a, sorted_a, side="left")
    places = np.searchsorted(sorted_b, sorted_a, side="left") + earlier
    has_partner = places < np.searchsorted(sorted_b, sorted_a, side="right")
    partners = np.full(len(ids_of_a), NO_PARTNER, np.int64)
    partners[order_of_a[has_partner]] = order_of_b[places[has_partner]]
    is_alone = np.ones(len(ids_of_b), bool)
    is_alone[partners[partners != NO_PARTNER]] = False
    return Pairs(partners, np.flatnonzero(is_alone), (_repeated(sorted_a), _repeated(sorted_b)))


def _repeated(ids: np.ndarray) -> int:
    """How many of sorted ids are there more than once."""
    again = ids[1:] == ids[:-1]
    return int(np.count_nonzero(again & ~np.concatenate([[False], again[:-1]]))) if len(again) else 0
