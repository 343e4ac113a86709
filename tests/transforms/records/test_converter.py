"""What stands in each feature record of a clip: channels, chunks and their texts, tails; and the counts."""

import numpy as np
import pytest

from helpers import RATE, encode
from melbeam.transforms import FrontEnd
from melbeam.transforms.block_kernel import FrameKernel
from melbeam.transforms.records.conversion import convert
from melbeam.transforms.records.converter import RecordConverter
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.rejects import Reject
from melbeam.transforms.records.segments import encode_segments, with_segments
from melbeam.transforms.records.tf_example import to_example

GEMMA = FrontEnd.load("gemma4")
# What its model takes is in no fingerprint, so that nothing more is compiled.
FULL_LENGTH = GEMMA.replace(name="full", model_takes="full_length", max_audio_length=2.0)
NOISE = (0.1 * np.random.default_rng(6).standard_normal((4 * RATE, 2))).astype("float32")


def converted(audio, front_end=GEMMA, *, segments="", features=(), **options):
    record = to_example({"audio": encode(audio), "id": "clip", **dict(features)})
    return convert(RecordConverter(front_end, RecordOptions(**options)), with_segments(record, segments), "here#3")


def values(record):
    """Name to value of a feature record, but for the features."""
    found = {}
    for name, feature in Example.FromString(record.example).features.feature.items():
        (found[name],) = getattr(feature, feature.WhichOneof("kind")).value
    return found


def texts(conversion):
    return [(found.get("text"), found.get("text_is_of_whole_clip")) for found in map(values, conversion.features)]


def test_each_channel_is_a_record_and_has_chunks_of_its_own():
    found = converted(NOISE[: 3 * RATE], channels="split", chunk_seconds=2.0)
    assert [record.id for record in found.features] == ["clip@0#0", "clip@0#1", "clip@1#0", "clip@1#1"]
    assert (found.num_channels, found.num_samples) == (2, 2 * 3 * RATE)
    for channel in (0, 1):
        alone = converted(NOISE[: 3 * RATE, channel], chunk_seconds=2.0)
        for mine, other in zip(found.features[2 * channel : 2 * channel + 2], alone.features, strict=True):
            left, right = values(mine), values(other)
            assert left["input_features"] == right["input_features"]
            assert [left[name] for name in ("chunk_index", "start_sample", "rms_dbfs", "source")] == [
                right[name] for name in ("chunk_index", "start_sample", "rms_dbfs", "source")
            ]


def test_a_text_without_times_is_that_of_each_chunk_and_says_so():
    found = converted(NOISE, features={"text": "said"}, chunk_seconds=2.0)
    assert texts(found) == [(b"said", 1), (b"said", 1)]
    assert [record.has_text_of_whole_clip for record in found.features] == [True, True]
    assert texts(converted(NOISE, chunk_seconds=2.0)) == [(None, None), (None, None)]
    assert texts(converted(NOISE, features={"text": "said"})) == [(b"said", None)]


def test_a_text_with_times_is_cut_with_its_clip():
    said = {"segments": encode_segments([(0.5, 1.0, "one"), (3.2, 3.5, "two")]), "chunk_seconds": 1.5}
    features = {"text": "one two", "speaker": "s"}
    found = converted(NOISE, features=features, **said)
    assert texts(found) == [(b"one", 0), (None, 0), (b"two", 0)]
    assert {values(record)["speaker"] for record in found.features} == {b"s"}
    assert not any(record.has_text_of_whole_clip for record in found.features)
    assert found.changes[-1] == "chunked"
    kept = converted(NOISE, features=features, require="text", **said)
    assert texts(kept) == [(b"one", 0), (b"two", 0)]
    assert kept.changes[-2:] == ["chunked", "trimmed"]


def test_fields_that_not_every_record_has_are_counted_with_their_kinds():
    (plain,) = converted(NOISE[:RATE], features={"speaker": "s", "weights": [0.5, 1.5]}).features
    assert plain.kinds == {"speaker": "bytes_list", "weights": "float_list"}
    assert plain.lengths == {"speaker": 1, "weights": 2}
    (cut,) = converted(NOISE, FULL_LENGTH.replace(model_takes="mask"), on_long="truncate").features
    assert (cut.kinds, cut.lengths) == ({"truncated": "int64_list"}, {"truncated": 1})
    chunk, _ = converted(NOISE, chunk_seconds=2.0).features
    assert chunk.kinds == {"chunk_index": "int64_list", "start_sample": "int64_list"}


def test_tokens_are_told_where_the_model_has_them():
    without = GEMMA.replace(frames_per_token=None, max_audio_tokens=None)
    assert values(converted(NOISE[:RATE]).features[0])["num_audio_tokens"] == 25
    assert "num_audio_tokens" not in values(converted(NOISE[:RATE], without).features[0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_tail_ends_with_the_first_row_that_all_later_ones_equal(dtype):
    """The rows behind a clip: some hear its end; silence is stored once."""
    audio = NOISE[:RATE, 0]
    (compact,) = converted(audio, FULL_LENGTH, pad_to_max_length="off", dtype=dtype).features
    (padded,) = converted(audio, FULL_LENGTH, dtype=dtype).features
    size = RecordOptions(dtype=dtype).numpy_dtype.itemsize * GEMMA.num_mels
    rows = [values(padded)["input_features"][first : first + size] for first in range(0, 200 * size, size)]
    tail = values(compact)["input_features_tail"]
    frames = compact.num_frames
    assert frames == 99
    assert values(compact)["input_features"] + tail == b"".join(rows[: frames + len(tail) // size])
    behind = rows[frames + len(tail) // size - 1 :]
    assert len(set(behind)) == 1
    assert rows[frames + len(tail) // size - 2] != behind[0]


def test_a_clip_of_the_full_length_has_no_row_behind_it():
    front_end = FrontEnd.load("gemma4_documented").replace(
        name="full", model_takes="full_length", max_audio_length=2.0
    )
    (compact,) = converted(NOISE[: 2 * RATE, 0], front_end, pad_to_max_length="off").features
    assert compact.num_frames == front_end.padded_frames
    assert values(compact)["input_features_tail"] == b""


def test_what_one_call_of_the_kernel_takes_is_computed_in_one(monkeypatch):
    """Prepared records say what they take, so that who packs them fills a call and no more."""
    converter = RecordConverter(GEMMA, RecordOptions(precision="float32"))  # which every TensorFlow compiles
    assert converter.samples_at_once >= 40 * RATE
    record = to_example({"audio": encode(NOISE[: 3 * RATE, 0])})
    prepared = []
    while sum(one.num_samples for one in prepared) <= converter.samples_at_once:
        prepared.append(converter.prepare(record, f"here#{len(prepared)}"))
    calls = []
    compute = FrameKernel.compute
    monkeypatch.setattr(
        FrameKernel, "compute", lambda *given, **named: calls.append(1) or compute(*given, **named)
    )
    assert len(converter.finish(prepared[:-1])) == len(prepared) - 1
    assert len(calls) == 1
    converter.finish(prepared + prepared[:1])
    assert len(calls) == 3


def test_a_clip_whose_features_are_not_finite_costs_itself_alone():
    """The sums of all clips that are computed together show it; which clip it is shows by each alone."""
    # Silence, the logarithm of the floor, becomes 0; of a loud clip, values are beyond those of float16.
    steep = GEMMA.replace(name="steep", per_bin_mean=[float(np.log(1e-3))] * 128, per_bin_stddev=[1e-4] * 128)
    converter = RecordConverter(steep, RecordOptions(dtype="float16", chunk_seconds=2.0))
    silence, loud = np.zeros(RATE, np.float32), NOISE[:, 0]
    clips = {"first": silence, "loud": loud, "second": silence[:5000], "third": np.zeros(5 * RATE, np.float32)}
    records = [to_example({"audio": encode(clip), "id": name}) for name, clip in clips.items()]
    with np.errstate(over="ignore"):
        first, rejected, *others = converter.finish([converter.prepare(record, "") for record in records])
    assert isinstance(rejected, Reject)
    assert (rejected.reason, rejected.record_id) == ("converter_error", "loud")
    assert "not finite" in rejected.detail
    alone = [convert(converter, record, "") for record in (records[0], *records[2:])]
    assert [first, *others] == alone
    assert [len(conversion.features) for conversion in alone] == [1, 1, 3]
