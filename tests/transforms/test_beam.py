"""`ExtractLogMel` in somebody's own pipeline."""

import pickle
from collections.abc import Mapping
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.internal import pickler
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

from helpers import encode
from melbeam.transforms import AudioConverter, ExtractLogMel, FrontEnd, LogMelDoFn
from melbeam.transforms.records.tf_example import to_example

NOISE = (0.1 * np.random.default_rng(5).standard_normal(16000 * 31)).astype("float32")


def record(name, samples):
    return to_example({"audio": encode(samples, subtype="FLOAT"), "id": name})


GOOD = {"a": NOISE[:16000], "b": NOISE[:4000]}
LONG = record("long", NOISE)
BAD = {b"\xff\xff": "not_an_example", to_example({"text": "none"}): "no_audio", LONG: "too_long"}
RECORDS = [*(record(name, samples) for name, samples in GOOD.items()), *BAD]


def parsed(serialized):
    return tf.train.Example.FromString(serialized).features.feature


def features(example):
    return np.frombuffer(example["input_features"].bytes_list.value[0], "<f4").reshape(-1, 128)


def run(transform, records, check_features, check_rejects, **options):
    """Runs the transform; gives its counters of namespace melbeam."""
    options = {"direct_running_mode": "multi_threading", "direct_num_workers": 2, **options}
    pipeline = beam.Pipeline("FnApiRunner", PipelineOptions(flags=[], **options))
    extracted = pipeline | beam.Create(records, reshuffle=False) | transform
    assert_that(extracted["features"], lambda got: check_features(list(map(parsed, got))), label="features")
    assert_that(extracted["rejects"], lambda got: check_rejects(list(map(parsed, got))), label="rejects")
    result = pipeline.run()
    result.wait_until_finish()
    counters = result.metrics().query()["counters"]
    return {c.key.metric.name: c.committed for c in counters if c.key.metric.namespace == "melbeam"}


def check_good(examples):
    converter = AudioConverter("gemma4", pad_to_max_length=False)
    found = {example["id"].bytes_list.value[0].decode(): features(example) for example in examples}
    assert sorted(found) == sorted(GOOD)
    for name, samples in GOOD.items():
        np.testing.assert_array_equal(found[name], converter(samples))


def check_bad(examples):
    found = {e["record"].bytes_list.value[0]: e["reason"].bytes_list.value[0].decode() for e in examples}
    assert found == BAD


def test_features_rejects_and_counters():
    counted = run(ExtractLogMel(front_end="gemma4"), RECORDS, check_good, check_bad)
    assert {name: count for name, count in counted.items() if count} == {
        "records": 5,
        "features": 2,
        "audio_milliseconds": 1250,
        **{f"rejects_{reason}": 1 for reason in BAD.values()},
    }


def test_the_dofn_with_its_two_outputs():
    transform = beam.ParDo(LogMelDoFn()).with_outputs("rejects", main="features")
    assert run(transform, RECORDS, check_good, check_bad)["records"] == 5


def test_chunks_are_counted_as_features():
    def check(examples):
        assert [e["id"].bytes_list.value[0] for e in examples] == [b"long#0", b"long#1"]

    def none(examples):
        assert examples == []

    counted = run(ExtractLogMel(on_long="chunk"), [LONG], check, none)
    assert (counted["records"], counted["features"], counted["audio_milliseconds"]) == (1, 2, 31000)


def test_a_front_end_of_ones_own():
    mine = FrontEnd.load("gemma4").replace(name="mine", num_mels=80)

    def check(examples):
        (example,) = examples
        values = np.frombuffer(example["input_features"].bytes_list.value[0], "<f4")
        assert values.shape == (24 * 80,)
        assert example["front_end"].bytes_list.value[0].decode() == mine.fingerprint[:16]

    run(ExtractLogMel(mine), [record("b", GOOD["b"])], check, lambda got: None)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"on_long": "drop"}, ValueError, "on_long must be one of"),
        ({"dtype": "float64"}, ValueError, "dtype must be one of"),
        ({"max_audio_seconds": 0}, ValueError, "max_audio_seconds must be above 0"),
        ({"encoding": "float_list", "dtype": "float16"}, ValueError, "stores float32 only"),
        ({"onlong": "chunk"}, TypeError, "onlong"),
        ({"front_end": "gemma5"}, ValueError, "gemma5"),
    ],
)
@pytest.mark.parametrize("form", [ExtractLogMel, LogMelDoFn])
def test_what_is_wrong_is_refused_at_construction(form, options, error, message):
    with pytest.raises(error, match=message):
        form(**options)


@pytest.mark.parametrize("roundtrip", [lambda fn: pickle.loads(pickle.dumps(fn)), pickler.roundtrip])
def test_it_pickles_before_and_after_its_use(roundtrip):
    fn = LogMelDoFn(on_long="truncate")
    for used in (False, True):
        if used:
            fn.setup()
        copy = roundtrip(fn)
        copy.setup()
        (example,) = map(parsed, copy.process(record("a", GOOD["a"])))
        assert features(example).shape == (99, 128)


def test_the_pickled_dofn_is_small():
    """What travels is the front end and the options, no bank and no graph."""
    fn = LogMelDoFn()
    fn.setup()
    assert len(pickle.dumps(fn)) < 8000


def test_dicts_are_records_too():
    samples = (np.random.default_rng(0).standard_normal(16000) * 0.1).astype(np.float32)
    dicts = [
        {"audio": samples, "id": "a", "sampling_rate": 16000, "text": "said"},
        {"id": "none"},
        {"audio": "clip.wav", "id": "path"},
    ]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        made = pipeline | beam.Create(dicts) | ExtractLogMel()
        texts = made.features | "texts" >> beam.Map(
            lambda record: tf.train.Example.FromString(record).features.feature["text"].bytes_list.value[0]
        )
        reasons = made.rejects | "reasons" >> beam.Map(
            lambda record: tuple(
                tf.train.Example.FromString(record).features.feature[name].bytes_list.value[0]
                for name in ("id", "reason")
            )
        )
        assert_that(texts, equal_to([b"said"]), "texts are there")
        assert_that(reasons, equal_to([(b"none", b"no_audio"), (b"path", b"bad_field")]), "reasons are there")


@pytest.mark.parametrize("elements", [["clip.wav"], [1.5], [("id", b"audio")]])
def test_other_elements_are_told_when_the_pipeline_is_built(elements):
    pipeline = beam.Pipeline()
    with pytest.raises(TypeError, match=r"must be serialized tf\.train\.Examples \(bytes\) or dicts"):
        pipeline | beam.Create(elements) | ExtractLogMel()


class Clip(dict):
    """A dict by another name."""


@pytest.mark.parametrize("hint", [Mapping[str, Any], bytes | None, bytes | str, object, Clip, dict[str, Any]])
def test_elements_that_may_be_records_are_taken(hint):
    pipeline = beam.Pipeline()
    elements = pipeline | beam.Create([b""]) | beam.Map(lambda element: element).with_output_types(hint)
    assert (elements | ExtractLogMel()).features is not None
