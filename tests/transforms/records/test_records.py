"""One record: every reject reason, ids, pass-through, chunks, encodings; and the element-wise Beam form."""

import contextlib
import hashlib
import struct

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import encode
from melbeam.transforms import AudioConverter, ExtractLogMel, FrontEnd, Reject
from melbeam.transforms.records.conversion import convert as convert_with
from melbeam.transforms.records.converter import RecordConverter
from melbeam.transforms.records.decoding import decode_audio
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.examples import to_reject
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.tf_example import to_example
from melbeam.transforms.statistics import BinStatistics

NOISE = (0.1 * np.random.default_rng(5).standard_normal(16000)).astype("float32")
WAV = encode(NOISE)


def convert(record, **options):
    return convert_with(RecordConverter(FrontEnd.load("gemma4"), RecordOptions(**options)), record, "here#0")


def examples(conversion):
    return [record.example for record in conversion.features]


def parsed(serialized):
    return tf.train.Example.FromString(serialized).features.feature


def with_value(data, offset, kind, value):
    changed = bytearray(data)
    struct.pack_into(kind, changed, offset, value)
    return bytes(changed)


@pytest.mark.parametrize(
    ("reason", "record", "options"),
    [
        ("not_an_example", b"\xff\xff garbage", {}),
        ("no_audio", to_example({"text": "hello"}), {}),
        ("no_audio", b"", {}),
        ("bad_audio", to_example({"audio": b"RIFF, but no more"}), {}),
        ("bad_audio", to_example({"audio": WAV[:-1000]}), {}),
        ("bad_audio", to_example({"audio": with_value(WAV, 24, "<I", 999)}), {}),
        ("bad_audio", to_example({"audio": [40000, 1], "sampling_rate": 16000}), {}),
        ("bad_audio", to_example({"audio": b"odd"}), {"audio_format": "pcm_s16le", "pcm_sampling_rate": 16000}),
        ("empty_audio", to_example({"audio": encode(NOISE[:0])}), {}),
        ("too_short", to_example({"audio": encode(NOISE[:160])}), {}),
        ("too_long", to_example({"audio": encode(np.resize(NOISE, 480001))}), {}),
        ("not_finite", to_example({"audio": encode(np.full(500, np.nan), subtype="FLOAT")}), {}),
        ("rate_mismatch", to_example({"audio": WAV, "sampling_rate": 8000}), {}),
        ("bad_field", to_example({"audio": WAV, "sampling_rate": [1, 2]}), {}),
        ("bad_field", to_example({"audio": WAV, "num_frames": 7}), {}),
        ("bad_field", to_example({"audio": [1, 2, 3]}), {}),
        ("bad_field", to_example({"audio": WAV, "id": b"\xff"}), {}),
        ("over_limit", to_example({"audio": WAV}), {"max_audio_seconds": 0.5}),
        ("over_limit", to_example({"audio": WAV}), {"max_record_bytes": 1000}),
        ("out_of_range", to_example({"audio": [3e38, -3e38] * 500, "sampling_rate": 16000}), {}),
        ("out_of_range", to_example({"audio": encode(np.full(500, 1000.0), subtype="FLOAT")}), {}),
        ("bad_audio", to_example({"audio": WAV}), {"audio_format": "pcm_s16le", "pcm_sampling_rate": 16000}),
    ],
)
def test_reject_reasons(reason, record, options):
    with pytest.raises(Reject) as reject:
        convert(record, **options)
    assert reject.value.reason == reason
    assert reject.value.detail


def test_what_the_converter_raises_is_a_reject(monkeypatch):
    converter = RecordConverter(FrontEnd.load("gemma4"), RecordOptions())

    def fails(clips):
        if any(len(clip) == 16000 for clip in clips):
            raise RuntimeError("out of something")
        return computed(clips)

    computed = converter._packed
    monkeypatch.setattr(converter, "_packed", fails)
    records = [to_example({"audio": encode(NOISE[:length]), "id": f"{length}"}) for length in (8000, 16000, 4000)]
    first, failed, last = converter.finish([converter.prepare(record, "") for record in records])
    assert (first.id, last.id) == ("8000", "4000")  # of clips that are computed together, it costs itself alone
    assert failed.reason == "converter_error"
    assert (failed.detail, failed.record_id) == ("RuntimeError: out of something", "16000")
    assert examples(first) != examples(last)


@pytest.mark.parametrize(
    "error", [MemoryError("no more"), tf.errors.ResourceExhaustedError(None, None, "no more")]
)
def test_a_shortage_of_memory_is_no_reject(monkeypatch, error):
    """It is the machine's: elsewhere, or later, the same record is converted."""
    converter = RecordConverter(FrontEnd.load("gemma4"), RecordOptions())

    def fails(_):
        raise error

    monkeypatch.setattr(converter, "_packed", fails)
    with pytest.raises(MemoryError, match="no memory for 16000 samples: give the workers more"):
        convert_with(converter, to_example({"audio": WAV}), "here#0")


def test_records_together_give_what_each_gives_alone():
    converter = RecordConverter(FrontEnd.load("gemma4"), RecordOptions(on_long="chunk"))
    lengths = (16000, 161, 480000, 7, 700000, 320)
    records = [to_example({"audio": np.resize(NOISE, n).astype("f4"), "sampling_rate": 16000}) for n in lengths]
    prepared = []
    for record in records:
        with contextlib.suppress(Reject):
            prepared.append(converter.prepare(record, "here#0"))
    together = converter.finish(prepared)
    assert [len(conversion.features) for conversion in together] == [1, 1, 1, 2, 1]
    for conversion, record in zip(together, prepared, strict=True):
        (alone,) = converter.finish([record])
        assert conversion == alone


def test_a_file_that_lacks_its_end_is_counted():
    record = to_example({"audio": WAV[:-320]})
    assert convert(record, cut_tolerance_seconds=0.01).changes == ["cut_short"]
    assert convert(to_example({"audio": WAV}), cut_tolerance_seconds=0.01).changes == []


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("FLAC", None), ("MP3", None), ("OGG", "VORBIS")],
)
def test_formats_decode_and_resample(kind, subtype):
    stereo = np.stack([NOISE, NOISE], axis=1)
    audio = decode_audio(encode(stereo, 32000, kind, subtype), sampling_rate=16000)
    assert (audio.source_rate, audio.resampled, audio.mixed_down) == (32000, True, True)
    assert audio.samples.dtype == np.float32
    assert abs(len(audio.samples) - 8000) <= 1200  # MP3 pads to its frames of 1152


def test_sixteen_bits_are_exact():
    samples = np.arange(-16384, 16384, dtype=np.int16)
    expected = samples / 32768
    np.testing.assert_array_equal(decode_audio(encode(samples), sampling_rate=16000).samples, expected)


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=8), st.sampled_from(["WAV", "FLAC", "OGG"]))
def test_a_damaged_file_is_a_reject_or_finite(position, change, kind):
    data = bytearray(encode(NOISE[:2000], kind=kind))
    data[position : position + len(change)] = change
    try:
        audio = decode_audio(bytes(data), sampling_rate=16000, max_seconds=60)
    except Reject:
        return
    assert np.isfinite(audio.samples).all()


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383, 16384, 70000])
@pytest.mark.parametrize("name", ["input_features", "a", "z" * 200])
def test_a_bulk_feature_is_serialized_as_protobuf_does(name, size):
    features = {"id": "x", "num_frames": 7, "source": "here"}
    passthrough = {"speaker": Example.FromString(to_example({"_": [0.5, 1.5]})).features.feature["_"]}
    bulk = to_example(features, passthrough, (name, memoryview(bytes(size))))
    assert bulk == to_example({**features, name: bytes(size)}, passthrough)


def test_a_feature_record_holds_the_converters_features():
    conversion = convert(to_example({"audio": WAV, "id": "clip-1", "speaker": "ada", "weights": [0.5, 1.5]}))
    (record,) = map(parsed, examples(conversion))
    samples = decode_audio(WAV, sampling_rate=16000).samples
    expected = AudioConverter("gemma4", pad_to_max_length=False)(samples).numpy()
    features = np.frombuffer(record["input_features"].bytes_list.value[0], "<f4").reshape(-1, 128)
    np.testing.assert_array_equal(features, expected)
    whole = {"num_frames": 99, "num_audio_tokens": 25, "num_samples": 16000, "sampling_rate": 16000}
    assert {name: record[name].int64_list.value[0] for name in whole} == whole
    texts = {"id": b"clip-1", "speaker": b"ada", "source": b"here#0", "front_end": b"8f52391f89d1faf8"}
    assert {name: record[name].bytes_list.value[0] for name in texts} == texts
    assert list(record["weights"].float_list.value) == [0.5, 1.5]
    levels = ["rms_dbfs", "peak_dbfs", "full_scale_fraction", "silent_fraction"]
    assert sorted(record) == sorted([*whole, *texts, *levels, "weights", "input_features"])
    statistics = BinStatistics()
    statistics.add_clips([of.sums for of in conversion.features])
    np.testing.assert_allclose(statistics.mean(), expected.mean(axis=0, dtype="f8"), atol=1e-8)
    np.testing.assert_allclose(statistics.stddev(), expected.std(axis=0, dtype="f8"), atol=1e-6)


def test_the_default_id_is_the_hash_of_the_audio():
    assert convert(to_example({"audio": WAV})).id == hashlib.sha256(WAV).hexdigest()


def test_a_mended_reject_is_read_as_it_is():
    record = to_example({"audio": WAV, "id": "x"})
    assert convert(to_reject(record, Reject("bad_audio", "why"), "where")).features == convert(record).features


def test_lists_and_raw_samples_equal_the_file():
    whole = np.round(NOISE * 32768).astype("<i2")
    expected = convert(to_example({"audio": encode(whole), "id": "a"})).features
    assert convert(to_example({"audio": whole, "id": "a", "sampling_rate": 16000})).features == expected
    raw = to_example({"audio": whole.tobytes(), "id": "a"})
    assert convert(raw, audio_format="pcm_s16le", pcm_sampling_rate=16000).features == expected


def test_long_clips():
    record = to_example({"audio": encode(np.resize(NOISE, 960100)), "id": "long"})
    truncated = convert(record, on_long="truncate")
    assert [parsed(e)["num_samples"].int64_list.value[0] for e in examples(truncated)] == [480000]
    chunked = convert(record, on_long="chunk")
    assert [parsed(e)["id"].bytes_list.value[0] for e in examples(chunked)] == [b"long#0", b"long#1"]
    assert [parsed(e)["start_sample"].int64_list.value[0] for e in examples(chunked)] == [0, 480000]
    assert (truncated.changes, chunked.changes) == (["truncated"], ["chunked", "trimmed"])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_smaller_dtypes_round_once(dtype):
    record = to_example({"audio": WAV})
    exact = np.frombuffer(parsed(examples(convert(record))[0])["input_features"].bytes_list.value[0], "<f4")
    stored = parsed(examples(convert(record, dtype=dtype))[0])["input_features"].bytes_list.value[0]
    np.testing.assert_array_equal(tf.io.decode_raw(stored, dtype), tf.cast(exact, dtype))


def test_float_lists_and_padding():
    record = to_example({"audio": WAV})
    padded = parsed(convert(record, encoding="float_list", pad_to_max_length=True).features[0].example)
    assert len(padded["input_features"].float_list.value) == 3000 * 128
    assert padded["num_frames"].int64_list.value[0] == 99


def test_beam_transform_gives_features_and_rejects():
    good = to_example({"audio": WAV, "id": "a"})
    with TestPipeline("FnApiRunner") as pipeline:
        result = pipeline | beam.Create([good, b"\xff\xff"]) | ExtractLogMel(front_end="gemma4")
        assert_that(result.features, lambda got: _same(got, convert_elementwise(good)), label="features")
        assert_that(
            result.rejects,
            lambda got: _same([parsed(r)["record"].bytes_list.value[0] for r in got], [b"\xff\xff"]),
            label="rejects",
        )
    metrics = {
        counter.key.metric.name: counter.committed for counter in pipeline.result.metrics().query()["counters"]
    }
    counted = {"records": 2, "features": 1, "audio_milliseconds": 1000, "rejects_not_an_example": 1}
    assert {name: metrics[name] for name in counted} == counted


def convert_elementwise(record):
    converter = RecordConverter(FrontEnd.load("gemma4"), RecordOptions())
    return examples(convert_with(converter, record, ""))


def _same(got, expected):
    assert list(got) == list(expected)


def test_a_wrong_option_is_refused_at_construction():
    with pytest.raises(ValueError, match="on_long must be one of"):
        ExtractLogMel(on_long="drop")


@pytest.mark.parametrize("text", [None, b"", b" \n", 7, 0.5, [b"", b" "]])
def test_what_is_no_transcript_is_turned_away_where_one_is_required(text):
    fields = {"audio": WAV, "id": "a"} | ({} if text is None else {"text": text})
    with pytest.raises(Reject, match="which --require=text asks for") as turned_away:
        convert(to_example(fields), require="text")
    assert turned_away.value.reason == "no_text"
