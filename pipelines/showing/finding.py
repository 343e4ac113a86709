"""A split's records found: the split that is meant, and a record by its number or its id."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from melbeam.pipelines.refusals import Refusal, UsageError, refused_as
from melbeam.pipelines.words import harmless
from melbeam.transforms.reading.folder import FeatureFolder, NotAsWritten, split_names
from melbeam.transforms.reading.records import FolderRecords
from melbeam.transforms.reading.storage import read_file

DEFAULT_SPLIT = "train"
_NUMBER = re.compile(r"#(-?\d{1,4000})")  # Python takes 4300 digits
_LIKE_A_NUMBER = re.compile(r"#(#+-?\d+)")  # an id that would be read as one, behind one more #
_NEAREST, _NEAR_ENOUGH = 3, 0.5
_COMPARED_AT_ONCE = 1000


def open_folder(path: str, split: str | None) -> FeatureFolder:
    """The folder, opened for a split: the one that is named, or the only one, or train.

    Raises:
        UsageError: it is no folder of features, or has no such split.
    """
    names = split_names_or_refusal(path)
    if not names:
        raise UsageError(Refusal.NO_SPLIT, f"{path} has no finished split")
    if split is None and len(names) > 1 and DEFAULT_SPLIT not in names:
        raise UsageError(
            Refusal.NO_SPLIT, f"{path} has the splits {', '.join(names)}: name one, --split={names[0]}"
        )
    return open_split(path, split if split is not None else names[0] if len(names) == 1 else DEFAULT_SPLIT)


def open_split(path: str, split: str) -> FeatureFolder:
    """The folder, opened for a split that was named.

    Raises:
        UsageError: it has no such split, or its metadata are not what melbeam writes.
    """
    with refused_as(Refusal.NO_SPLIT):
        try:
            return FeatureFolder.open(path, split, None, read_file)
        except NotAsWritten as error:
            raise UsageError(Refusal.NO_FEATURES, str(error)) from error


def split_names_or_refusal(path: str) -> list[str]:
    """The names of a folder's finished splits.

    Raises:
        UsageError: it is no folder of finished features.
    """
    with refused_as(Refusal.NO_FEATURES):
        return split_names(path, read_file)


def number_of(records: FolderRecords, wanted: str) -> int:
    """The number of the record that a person names: "#12" counts from 0, "#-1" is the last one; else an id.

    An id may be written as it is, or as it is shown, with escapes; one that reads like a number has one more #.

    Raises:
        UsageError: there is none; the message has the nearest ids.
        ValueError: a shard is damaged.
    """
    if not len(records):
        raise UsageError(Refusal.NO_RECORD, without_records(records.folder))
    by_number = _NUMBER.fullmatch(wanted)
    if by_number:
        number = int(by_number[1])
        if not -len(records) <= number < len(records):
            raise UsageError(
                Refusal.NO_RECORD,
                f"there is no record {wanted}: the split has {len(records)}, #0 to #{len(records) - 1}",
            )
        return number % len(records)
    if like_a_number := _LIKE_A_NUMBER.fullmatch(wanted):
        wanted = like_a_number[1]
    ids = FolderRecords(records.folder, ["id"])
    as_bytes, as_shown = os.fsencode(wanted), harmless(wanted)
    for number, record_id in enumerate(_ids(ids)):
        if record_id == as_bytes or harmless(record_id) == wanted:
            return number
    near = _nearest(as_shown, map(harmless, _ids(ids)))
    if not near and as_shown.isdecimal() and int(as_shown) < len(records):
        near = [f"'#{int(as_shown)}'"]
    said = f": did you mean {' or '.join(near)}?" if near else "; '#0' is its first one"
    shown_in_words = as_shown if as_shown.strip() else f"'{as_shown}'"
    raise UsageError(
        Refusal.NO_RECORD, f"no record of the split's {len(records)} has the id {shown_in_words}{said}"
    )


def without_records(folder: FeatureFolder) -> str:
    """Says that a split has no records, and which command tells why."""
    return f"{folder.path}: the split has no records; `melbeam rejects {folder.path}` says what was turned away"


def _ids(records: FolderRecords) -> Iterator[bytes]:
    return (record["id"] for _, record in records)


def _nearest(wanted: str, ids: Iterable[str]) -> list[str]:
    """The few of the ids that are spelled most like one; a thousand of them are held at a time."""
    best: list[str] = []
    waiting: list[str] = []
    for record_id in ids:
        waiting.append(record_id)
        if len(waiting) == _COMPARED_AT_ONCE:
            best, waiting = get_close_matches(wanted, sorted({*best, *waiting}), _NEAREST, _NEAR_ENOUGH), []
    return get_close_matches(wanted, sorted({*best, *waiting}), _NEAREST, _NEAR_ENOUGH)
