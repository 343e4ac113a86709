"""Rows that rejects kept, read again by the source that they came from."""

from __future__ import annotations

from importlib import import_module

from melbeam.pipelines.sources.kinds import KINDS, MODULES
from melbeam.pipelines.sources.rows import BadRow, Row, read_rows
from melbeam.pipelines.sources.units import Item, Unit
from melbeam.pipelines.tfrecord import Span
from melbeam.transforms.records.rows import kept_row


def read_kept_row(record: bytes, unit: Unit, number: int, max_record_bytes: int) -> Item | None:
    """What has become of a row that could not be read before; None where the record keeps none.

    Args:
        record: a reject, or a row by itself.
        unit: which the record was read from; the new record lies there.
        number: of the record in it.
        max_record_bytes: as of any other record.
    """
    kept = kept_row(record)
    if kept is None or kept[0]["kind"] not in KINDS:
        return None
    row, features = kept
    if "audio" in row:
        again: Row | BadRow = Row.of_kept(row, features)
    else:
        again = import_module(f"melbeam.pipelines.sources.{MODULES[row['kind']]}").row_again(row)
    at_its_place = Unit(unit.path, 0, kind=row["kind"], span=Span(number=number))
    return next(read_rows([again], at_its_place, max_record_bytes))
