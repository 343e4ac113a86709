"""Rows that rejects kept, read again by the source that they came from."""

from __future__ import annotations

from collections.abc import Iterator

from melbeam.pipelines.sources.kinds import KINDS, source_of
from melbeam.pipelines.sources.rows import Row, read_rows
from melbeam.pipelines.sources.units import Item, Unit
from melbeam.pipelines.tfrecord import Span
from melbeam.transforms.records.kept_rows import kept_row


def read_kept_row(record: bytes, unit: Unit, number: int, max_record_bytes: int) -> Iterator[Item] | None:
    """What has become of what could not be read before; None where the record keeps no row.

    A row becomes one record or damage; what stands for many, as a row group of Parquet, becomes as many.

    Args:
        record: a reject, or a row by itself.
        unit: which the record was read from; the new record lies there.
        number: of the first record that comes of it.
        max_record_bytes: as of any other record.
    """
    kept = kept_row(record)
    if kept is None or kept[0]["kind"] not in KINDS:
        return None
    row, features = kept
    at_its_place = Unit(unit.path, 0, kind=row["kind"], span=Span(number=number))
    if "audio" in row:
        return read_rows([Row.of_kept(row, features)], at_its_place, max_record_bytes)
    return source_of(row["kind"]).read_again(row, at_its_place, max_record_bytes)
