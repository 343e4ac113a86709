"""The table of a shard's records: what is put in comes out, in the same bytes every time."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from melbeam.pipelines.split import table
from melbeam.pipelines.split.table import TableOfShard, read_table
from melbeam.transforms.folder_layout import ShardName
from melbeam.transforms.records.example_proto import Feature
from melbeam.transforms.records.table import COLUMNS, row_of

SHARD = ShardName("train", 2, 3)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": TEXT,
            "text": st.none() | TEXT,
            "num_frames": st.integers(0, 2**40),
            "seconds": st.floats(0, 1e6),
            "source": TEXT,
        }
    ),
    max_size=9,
)


def encoded(rows):
    made = TableOfShard(SHARD)
    for row in rows:
        made.add(row)
    assert made.num_rows == len(rows)
    return made.to_bytes()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the first example imports pyarrow
@given(rows=ROWS)
def test_what_is_put_in_comes_out(rows):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "_ROWS_AT_ONCE", 2)  # so that there are several groups of rows
        data = encoded(rows)
        assert encoded(rows) == data
        of_all = {"split": "train", "file": "train-00002-of-00003.tfrecord"}
        assert list(read_table(data)) == [{**row, **of_all, "record": n} for n, row in enumerate(rows)]
    assert pq.ParquetFile(io.BytesIO(data)).metadata.num_row_groups == (len(rows) + 1) // 2


def test_what_is_no_such_table():
    for data in (b"", b"PAR1", b"x" * 200, encoded([])[:-1]):
        with pytest.raises(ValueError, match="no Parquet table of a shard's records"):
            list(read_table(data))
    other = io.BytesIO()
    pq.write_table(pa.table({"id": ["a"]}), other)
    with pytest.raises(ValueError, match=r"its columns are \['id'\]"):
        list(read_table(other.getvalue()))


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ({"bytes_list": {"value": ["Füße".encode()]}}, "Füße"),
        ({"bytes_list": {"value": [b"caf\xe9"]}}, r"caf\xe9"),
        ({"bytes_list": {"value": [b""]}}, ""),
        ({"bytes_list": {"value": [b"a", b"b"]}}, None),
        ({"int64_list": {"value": [7]}}, None),
        ({"bytes_list": {"value": []}}, None),
    ],
)
def test_the_text_of_a_row(feature, expected):
    fields = {"id": "a", "num_frames": 9, "num_samples": 1600, "sampling_rate": 16000, "source": "x#1"}
    expected = {"id": "a", "text": expected, "num_frames": 9, "seconds": 0.1, "source": "x#1"}
    assert row_of(fields, Feature(**feature)) == expected
    assert row_of(fields, None) == {**expected, "text": None}
    assert [*expected, "split", "file", "record"] == [column.name for column in COLUMNS]
