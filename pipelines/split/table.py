"""The table of a shard's records, a Parquet file: written row group by row group, the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from melbeam.transforms.folder_layout import ShardName
from melbeam.transforms.records.table import COLUMNS

if TYPE_CHECKING:
    import pyarrow

# Rows that are held as Python's values at a time.
_ROWS_AT_ONCE = 4096


class TableOfShard:
    """The table of one shard of features, being made; what is held of it is compressed, some 50 bytes a record.

    Args:
        shard: the name of the shard.
    """

    def __init__(self, shard: ShardName) -> None:
        import pyarrow.parquet  # comes with Beam, and takes its time

        self._of_all_rows = {"split": shard.split, "file": str(shard)}
        self._file = io.BytesIO()
        self._schema = _schema()
        self._writer = pyarrow.parquet.ParquetWriter(self._file, self._schema, compression="zstd")
        self._waiting: list[dict[str, Any]] = []
        self.num_rows = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds the next record of the shard, as `transforms.records.table.row_of` gives it."""
        self._waiting.append({**row, **self._of_all_rows, "record": self.num_rows})
        self.num_rows += 1
        if len(self._waiting) == _ROWS_AT_ONCE:
            self._write()

    def to_bytes(self) -> bytes:
        """The whole file; nothing can be added afterwards."""
        if self._waiting:
            self._write()
        self._writer.close()
        return self._file.getvalue()

    def _write(self) -> None:
        import pyarrow

        self._writer.write_table(pyarrow.Table.from_pylist(self._waiting, self._schema))
        self._waiting = []


def _schema() -> pyarrow.Schema:
    import pyarrow

    return pyarrow.schema(
        [pyarrow.field(c.name, pyarrow.type_for_alias(c.type), nullable=c.may_lack) for c in COLUMNS]
    )


def read_table(data: bytes) -> Iterator[dict[str, Any]]:
    """Yields the rows of a table, some thousand of which are held at a time.

    Raises:
        ValueError: the bytes are no such table.
    """
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(io.BytesIO(data))
        names, expected = file.schema_arrow, _schema()
        if not names.equals(expected):
            raise ValueError(f"its columns are {names.names} of {names.types}, and must be {expected.names}")
        for group in range(file.num_row_groups):  # older pyarrows refuse to read a table of none
            for batch in file.iter_batches(_ROWS_AT_ONCE, row_groups=[group]):
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise ValueError(f"it is no Parquet table of a shard's records: {error}") from error
