"""The index of a shard comes back as it was written, and nothing else is taken for one."""

import io

import numpy as np
import pytest

from melbeam.transforms.records.index import INDEX_DTYPE, decode_index, encode_index

ROWS = [(0, 52_000, 99), (52_016, 1, 0), (1 << 40, (1 << 31) - 1, 3000)]


def test_it_comes_back():
    found = decode_index(encode_index(ROWS))
    assert found.dtype == INDEX_DTYPE
    assert [tuple(row) for row in found.tolist()] == ROWS
    assert len(decode_index(encode_index([]))) == 0


def test_numpy_reads_it_alone():
    assert np.load(io.BytesIO(encode_index(ROWS)), allow_pickle=False)["num_frames"].tolist() == [99, 0, 3000]


@pytest.mark.parametrize("content", [b"", b"not an index", encode_index(ROWS)[:-1]])
def test_anything_else_is_refused(content):
    with pytest.raises(ValueError, match="that are no index"):
        decode_index(content)


def test_other_arrays_are_refused():
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match="an index has rows of"):
        decode_index(file.getvalue())
    pickled = io.BytesIO()
    np.save(pickled, np.array([object()]), allow_pickle=True)
    with pytest.raises(ValueError, match="that are no index"):
        decode_index(pickled.getvalue())
