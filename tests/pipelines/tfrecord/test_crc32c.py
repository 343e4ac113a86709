"""Checksums of runs of bytes, one behind the other."""

import google_crc32c
from hypothesis import given
from hypothesis import strategies as st

from melbeam.pipelines.tfrecord.crc32c import combined_crc32c


@given(st.binary(), st.binary(), st.sampled_from([0, 1, 255, 65536, 1_000_003]))
def test_two_checksums_make_that_of_both(first, second, more):
    second += bytes(more)
    whole = google_crc32c.value(first + second)
    assert combined_crc32c(google_crc32c.value(first), google_crc32c.value(second), len(second)) == whole
