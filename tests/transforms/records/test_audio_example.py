"""An audio record in one line, and what becomes of its audio."""

import numpy as np
import pytest
import tensorflow as tf

from helpers import encode
from melbeam.transforms import audio_example
from melbeam.transforms.records.examples import read_audio_example

SAMPLES = np.array([0, 1, -1, 32767, -32768, 12345] * 50, np.int16)
WAV = encode(SAMPLES)


def read(record, rate=16000):
    return read_audio_example(record, sampling_rate=rate)


@pytest.mark.parametrize(
    "audio",
    [
        SAMPLES,
        SAMPLES.astype(np.int64),
        SAMPLES.tolist(),
        SAMPLES.astype(np.float64) / 32768,
        (SAMPLES / np.float32(32768)).tolist(),
        SAMPLES.astype(np.int32) << 16,
        SAMPLES.astype(">i2"),
        SAMPLES.astype(">i8"),
        (SAMPLES.astype(np.int32) << 16).astype(">i4"),
        (SAMPLES / np.float32(32768)).astype(">f4"),
        np.ma.masked_array(SAMPLES, mask=False),
        np.frombuffer(WAV, np.uint8),
        WAV,
        bytearray(WAV),
        memoryview(WAV),
    ],
)
def test_all_kinds_of_audio_are_the_same_samples(audio):
    example = read(audio_example(audio, id="a", sampling_rate=16000))
    assert example.id == "a"
    np.testing.assert_array_equal(example.audio.samples, SAMPLES.astype(np.float32) / 32768)


def test_eight_bits():
    signed = read(audio_example(np.array([0, 64, -128] * 99, np.int8), sampling_rate=16000)).audio.samples
    unsigned = read(audio_example(np.array([128, 192, 0] * 99, np.uint8), sampling_rate=16000)).audio.samples
    np.testing.assert_array_equal(signed, np.array([0, 0.5, -1] * 99, np.float32))
    np.testing.assert_array_equal(unsigned, signed)


def test_others_keep_their_type():
    example = read(audio_example(WAV, text="é", take=3, gain=0.5, tags=["a", "b"], none=None, ok=True))
    found = {name: list(getattr(f, f.WhichOneof("kind")).value) for name, f in example.passthrough.items()}
    assert found == {"text": ["é".encode()], "take": [3], "gain": [0.5], "tags": [b"a", b"b"], "ok": [1]}
    assert example.given_id is None


def test_others_may_be_arrays_of_any_package():
    others = {
        "text": tf.constant("é"),
        "tags": tf.constant(["a", "b"]),
        "take": tf.constant(3),
        "gains": tf.constant([0.5, 0.25]),
        "raw": bytearray(b"\0\1"),
        "view": memoryview(b"\0\1"),
    }
    found = read(audio_example(WAV, **others)).passthrough
    values = {name: list(getattr(f, f.WhichOneof("kind")).value) for name, f in found.items()}
    assert values == {
        "text": ["é".encode()],
        "tags": [b"a", b"b"],
        "take": [3],
        "gains": [0.5, 0.25],
        "raw": [b"\0\1"],
        "view": [b"\0\1"],
    }


@pytest.mark.parametrize(
    ("audio", "others", "error", "told"),
    [
        ("clip.wav", {}, TypeError, "audio must be the bytes of a file or samples, got str"),
        (None, {}, TypeError, "got NoneType"),
        (np.zeros((100, 2), np.float32), {}, ValueError, r"of one channel, got shape \(100, 2\)"),
        (np.zeros(10, complex), {}, TypeError, "an array of complex128"),
        (np.ma.masked_array(SAMPLES, SAMPLES == 1), {}, ValueError, "audio has 50 masked samples"),
        (b"RIFF", {"source": "x"}, ValueError, "'source' is a name that melbeam writes itself"),
    ],
)
def test_what_is_no_record_is_an_error(audio, others, error, told):
    with pytest.raises(error, match=told):
        audio_example(audio, **others)
