"""A clip whose texts have their times is cut between them."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import RATE, encode
from melbeam.transforms import FrontEnd, audio_example
from melbeam.transforms.records.chunking import Chunking
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.segments import Segment, cut_between, encode_segments, parse_segments

FRONT_END = FrontEnd.load("gemma4")
OPTIONS = RecordOptions(chunk_seconds=10)
CHUNKING = Chunking.of(FRONT_END, OPTIONS)


def chunks_of(seconds, *segments, chunking=CHUNKING):
    """First and last second, and text, of each chunk; segments are (start, end, text) in seconds."""
    encoded = encode_segments(segments).encode()
    found = parse_segments(encoded, seconds * RATE, RATE)
    cut = cut_between(found, seconds * RATE, chunking, FRONT_END)
    return [(chunk.start / RATE, chunk.stop / RATE, chunk.text) for chunk in cut]


def test_a_cut_lies_in_the_middle_of_a_pause():
    assert chunks_of(16, (1, 4, "one"), (5, 8, "two"), (9, 15, "three")) == [
        (0, 8.5, "one two"),
        (8.5, 16, "three"),
    ]


def test_a_segment_that_is_longer_than_a_chunk_is_one_of_its_own():
    assert chunks_of(30, (1, 3, "one"), (4, 24, "long"), (25, 27, "two")) == [
        (0, 3.5, "one"),
        (3.5, 4, ""),
        (4, 24, "long"),
        (24, 30, "two"),
    ]


def test_silence_is_cut_at_its_length():
    assert chunks_of(35, (30, 34, "late")) == [(0, 10, ""), (10, 20, ""), (20, 30, ""), (30, 35, "late")]


def test_segments_that_overlap_stay_together():
    assert chunks_of(16, (0, 6, "a"), (5, 9, "b"), (8, 12, "c"), (13, 15, "d")) == [
        (0, 12, "a b c"),
        (12, 16, "d"),
    ]


def test_one_that_is_longer_than_the_front_end_takes_is_a_reject():
    with pytest.raises(Reject) as rejected:
        chunks_of(40, (1, 3, "one"), (4, 38, "long"))
    assert rejected.value.reason == "too_long"
    assert "a text is said from 4.000 s to 38.000 s, the front end takes 30" in rejected.value.detail
    with pytest.raises(Reject, match=r"from 0\.000 s to 31\.000 s"):
        chunks_of(31, (0, None, "of a manifest's segment"))


@pytest.mark.parametrize(
    "encoded",
    [
        b"{",
        b"[1]",
        b'[["a", 1, "x"]]',
        b'[[0, NaN, "x"]]',
        b"[[0, 1, null]]",
        b"[[0, 1, 2]]",
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_what_is_none_is_a_reject(encoded):
    with pytest.raises(Reject, match="bad_field: melbeam_segments must be JSON"):
        parse_segments(encoded, RATE, RATE)


def test_half_a_surrogate_pair_becomes_a_question_mark():
    """JSON may hold it, as the texts of a manifest or of cuts do, and UTF-8 may not."""
    (said,) = parse_segments(encode_segments([(0, 1, "a \ud800 b")]).encode(), RATE, RATE)
    (escaped,) = parse_segments(rb'[[0, 1, "a \ud800 b"]]', RATE, RATE)
    assert said.text == escaped.text == "a ? b"


def joined(segments):
    """First sample and end of each run of segments that overlap."""
    runs = []
    for segment in segments:
        if runs and segment.start < runs[-1][1]:
            runs[-1][1] = max(runs[-1][1], segment.stop)
        else:
            runs.append([segment.start, segment.stop])
    return runs


# On a machine that does much else, the first example alone may take a second.
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(0, 900_000), st.integers(1, 300_000)), max_size=12),
    st.integers(200_000, 1_000_000),
)
def test_whatever_is_said_no_segment_is_cut_and_nothing_is_lost(spans, num_samples):
    segments = sorted(
        (
            Segment(start, min(start + size, num_samples), str(start))
            for start, size in spans
            if start < num_samples
        ),
        key=lambda segment: (segment.start, segment.stop),
    )
    try:
        chunks = cut_between(segments, num_samples, CHUNKING, FRONT_END)
    except Reject:  # too_long: chunks of their own may be longer than a chunk, but not than the front end takes
        assert any(stop - start > FRONT_END.max_samples for start, stop in joined(segments))
        return
    for segment in segments:
        assert sum(chunk.start <= segment.start and segment.stop <= chunk.stop for chunk in chunks) <= 1
        assert not any(segment.start < chunk.start < segment.stop for chunk in chunks)
    assert sum(len(chunk.text.split()) for chunk in chunks) == len(segments)
    gaps = [after.start - before.stop for before, after in pairwise(chunks)]
    # What is left out is no frame.
    assert all(0 <= gap <= 160 for gap in [chunks[0].start, *gaps, num_samples - chunks[-1].stop])


def test_each_chunk_has_the_text_that_is_said_in_it(tmp_path):
    from melbeam.transforms.records.conversion import convert
    from melbeam.transforms.records.converter import RecordConverter

    samples = 0.1 * np.random.default_rng(0).standard_normal(16 * RATE)
    segments = encode_segments([(1, 4, "one"), (5, 8, "two"), (9, 15, "three")])
    record = audio_example(encode(samples), id="x", text="one two three", speaker="s", melbeam_segments=segments)
    conversion = convert(RecordConverter(FRONT_END, OPTIONS), record, "")
    found = [Example.FromString(each.example).features.feature for each in conversion.features]
    assert [each["text"].bytes_list.value[0] for each in found] == [b"one two", b"three"]
    assert [each["start_sample"].int64_list.value[0] for each in found] == [0, round(8.5 * RATE)]
    assert [each["text_is_of_whole_clip"].int64_list.value[0] for each in found] == [0, 0]
    assert [each["speaker"].bytes_list.value[0] for each in found] == [b"s"] * 2
    for each in found:
        assert "melbeam_segments" not in each
    (whole,) = convert(RecordConverter(FRONT_END, RecordOptions()), record, "").features
    assert Example.FromString(whole.example).features.feature["text"].bytes_list.value[0] == b"one two three"


def test_chunks_without_a_text_go_where_one_is_required(tmp_path):
    from melbeam.transforms.records.conversion import convert
    from melbeam.transforms.records.converter import RecordConverter

    samples = 0.1 * np.random.default_rng(0).standard_normal(35 * RATE)
    record = audio_example(encode(samples), text="late", melbeam_segments=encode_segments([(30, 34, "late")]))
    for require, texts in ((None, [None, None, None, b"late"]), ("text", [b"late"])):
        options = RecordOptions(chunk_seconds=10, require=require)
        conversion = convert(RecordConverter(FRONT_END, options), record, "")
        found = [Example.FromString(each.example).features.feature for each in conversion.features]
        assert [each["text"].bytes_list.value[0] if "text" in each else None for each in found] == texts
        assert ("trimmed" in conversion.changes) == (require == "text")
