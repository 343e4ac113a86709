"""TFRecord files of tf.train.Examples: ours, anybody's with other names, and TFDS's by their features.json.

A large file is planned in parts, cut at records, which a worker finds. A record that is a row, kept by a reject,
is read again by the source that it came from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from melbeam.pipelines.sources.kept import read_kept_row
from melbeam.pipelines.sources.renaming import Renaming
from melbeam.pipelines.sources.tfds_folder import tfds_renaming
from melbeam.pipelines.sources.units import (
    AudioRecord,
    Damage,
    Found,
    Item,
    Planned,
    SourceOptions,
    Unit,
)
from melbeam.pipelines.tfrecord import Record, find_spans, is_compressed, read_tfrecord_file
from melbeam.transforms.folder_layout import folder_of
from melbeam.transforms.records.examples import id_in
from melbeam.transforms.records.rejects import Reject, with_place
from melbeam.transforms.records.rows import may_keep_row


def plan(found: Found, options: SourceOptions) -> Planned:
    """A unit for each file, or several for a large one.

    A compressed file stays whole, since it is read from its beginning; so does any where records are limited,
    since how many of them a part has is known only when the part is found.

    Raises:
        ValueError: the records are none of tf.train.Example, or TFDS's metadata names no audio.
    """
    units = []
    shard_bytes = options.shard_bytes if options.limit is None else None
    details_of: dict[str, dict[str, Any]] = {}  # by folder
    for path, size in found.paths:
        folder = folder_of(path)
        if folder not in details_of:
            renaming = tfds_renaming(folder, options.columns) or Renaming()
            columns = {**renaming.columns, **options.columns}
            rate = renaming.sampling_rate
            if rate is None and renaming.num_channels > 1:  # they become a WAV, which must name its rate
                rate = options.pcm_sampling_rate
            details_of[folder] = replace(renaming, columns=columns, sampling_rate=rate).to_json()
        details = details_of[folder]
        num_parts = 1
        if shard_bytes is not None and size > shard_bytes and not is_compressed(path):
            num_parts = -(-size // shard_bytes)
        units += [Unit(path, size, part, num_parts, details=details) for part in range(num_parts)]
    return Planned(units)


def find_parts(units: list[Unit], max_record_bytes: int) -> list[Unit]:
    """The units of one file, with the records that each has.

    Raises:
        OSError: the file cannot be read.
    """
    if len(units) == 1:
        return units
    spans = find_spans(units[0].path, len(units), max_record_bytes=max_record_bytes)
    return [replace(unit, span=span) for unit, span in zip(units, spans, strict=True)]


def read(unit: Unit, max_record_bytes: int) -> Iterator[Item]:
    """Everything in the file, or the part of it."""
    renaming = Renaming.from_json(unit.details) if unit.details else None
    more = 0  # records than the file has, where one of it became several
    for item in read_tfrecord_file(unit.path, max_record_bytes=max_record_bytes, span=unit.span):
        number = item.number + more
        place = unit.place(number)
        if not isinstance(item, Record):
            lost = item.size if item.reason == "bad_framing" else 0
            where = with_place(item.detail, item.size, item.offset)
            yield Damage(number, place, Reject(item.reason, where), item.data, lost)
        elif may_keep_row(item.data) and (again := read_kept_row(item.data, unit, number, max_record_bytes)):
            more -= 1
            for read_again in again:
                more += 1
                yield read_again
        elif renaming is not None:
            try:
                yield AudioRecord(number, place, renaming.apply(item.data))
            except Reject as reject:
                reject.record_id = id_in(item.data)
                yield Damage(number, place, reject, item.data)
        else:
            yield AudioRecord(number, place, item.data)
