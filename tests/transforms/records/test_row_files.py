"""Files of rows are NumPy's own, and are read without evaluating their header."""

import io

import numpy as np
import pytest

from melbeam.transforms.records import row_files
from melbeam.transforms.records.row_files import decode_rows, encode_rows

ROWS = np.dtype([("key", "<u8"), ("size", "<u4"), ("kind", "u1")])


@pytest.fixture
def evaluates_nothing(monkeypatch):
    def read_array(*_args, **_kwargs):
        raise AssertionError("the header was given to NumPy, which evaluates it")

    monkeypatch.setattr(row_files.np.lib.format, "read_array", read_array)


@pytest.mark.parametrize("num_rows", [0, 1, 9, 10, 12_345])
def test_rows_come_back(evaluates_nothing, num_rows):
    rows = [(1 << 63 | number, number, number % 256) for number in range(num_rows)]
    found = decode_rows(encode_rows(rows, ROWS), ROWS)
    assert (found.dtype, found.flags.writeable, found.tolist()) == (ROWS, True, rows)


def test_they_are_what_numpy_saves(evaluates_nothing):
    rows = np.array([(1, 2, 3), (4, 5, 6)], ROWS)
    file = io.BytesIO()
    np.save(file, rows)
    assert file.getvalue() == encode_rows(rows.tolist(), ROWS)
    wider = file.getvalue().replace(b" \n", b" " * 65 + b"\n")  # as other versions of NumPy fill the header up
    wider = wider[:8] + (int.from_bytes(wider[8:10], "little") + 64).to_bytes(2, "little") + wider[10:]
    assert decode_rows(wider, ROWS).tolist() == rows.tolist()


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((2, 2), ROWS), np.zeros(2, "<u4")])
def test_other_arrays_are_told_by_their_own_type(array):
    file = io.BytesIO()
    np.save(file, array)
    found = decode_rows(file.getvalue(), ROWS)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)


@pytest.mark.parametrize("cut", [1, 13, 60])
def test_a_part_of_a_file_is_refused(cut):
    with pytest.raises(ValueError):  # noqa: PT011 (NumPy's own words)
        decode_rows(encode_rows([(1, 2, 3)] * 4, ROWS)[:-cut], ROWS)
