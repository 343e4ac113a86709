"""What the table beside the features says of each record: the columns, and a record's row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from melbeam.transforms.records.schema import BYTES, TEXT
from melbeam.transforms.records.tf_example import kind_and_count

STRING, INTEGER, NUMBER = "string", "int64", "float64"


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        name: of the column.
        type: one of `STRING`, `INTEGER` and `NUMBER`, as Arrow and Parquet call them.
        meaning: what it holds, for people.
        may_lack: whether a record may have none.
    """

    name: str
    type: str
    meaning: str
    may_lack: bool = False


COLUMNS = (
    Column("id", STRING, "id of the record"),
    Column(TEXT, STRING, "its transcript, where it has one", may_lack=True),
    Column("num_frames", INTEGER, "valid frames of its features"),
    Column("seconds", NUMBER, "length of its audio, as the front end received it"),
    Column("source", STRING, "input file and record number of its audio"),
    Column("split", STRING, "split that it is in"),
    Column("file", STRING, "TFRecord file that holds its features"),
    Column("record", INTEGER, "number of the record in that file, from 0"),
)


def row_of(fields: Mapping[str, Any], text: Any | None) -> dict[str, Any]:
    """The columns that a record itself decides: all but the last three.

    Args:
        fields: the small fields of the record, by their names.
        text: the record's transcript, a `Feature` message; None where there is none. Bytes that are no UTF-8 are
            written as escapes; anything but one value of bytes is none.
    """
    has_text = text is not None and kind_and_count(text) == (BYTES, 1)
    return {
        "id": fields["id"],
        TEXT: text.bytes_list.value[0].decode(errors="backslashreplace")
        if text is not None and has_text
        else None,
        "num_frames": fields["num_frames"],
        "seconds": fields["num_samples"] / fields["sampling_rate"],
        "source": fields["source"],
    }
