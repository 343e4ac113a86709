"""Samples without a header: scaling, limits, and files that are none."""

import base64
import gzip
import pickle
import struct

import numpy as np
import pytest
import soxr

from helpers import encode
from melbeam.transforms.records.decoding import check_is_no_file, decode_pcm_s16le, from_samples
from melbeam.transforms.records.decoding.raw_samples import name_of_file_in
from melbeam.transforms.records.rejects import Reject

RATE = 16000
NOISE = (0.1 * np.random.default_rng(7).standard_normal(RATE)).astype(np.float32)
PCM = np.round(NOISE * 32767).astype("<i2").tobytes()


def test_every_16_bit_value_is_exact():
    values = np.arange(-32768, 32768).astype(np.int16)
    expected = (values / 32768).astype(np.float32)
    for samples in (
        decode_pcm_s16le(values.astype("<i2").tobytes(), source_rate=RATE, sampling_rate=RATE).samples,
        from_samples(values.astype(np.int64), source_rate=RATE, sampling_rate=RATE).samples,
        from_samples(values / 32768, source_rate=RATE, sampling_rate=RATE).samples,
    ):
        assert samples.dtype == np.float32
        np.testing.assert_array_equal(samples, expected)


@pytest.mark.parametrize("length", [RATE, 200_000])  # less and more than a block
def test_resampling_is_soxr_hq(length):
    clip = np.resize(NOISE, length)
    expected = soxr.resample(clip, 44100, RATE, quality="HQ")
    np.testing.assert_array_equal(from_samples(clip, source_rate=44100, sampling_rate=RATE).samples, expected)
    whole = np.round(clip * 32767).astype("<i2")
    expected = soxr.resample((whole / 32768).astype(np.float32), 44100, RATE, quality="HQ")
    for samples in (
        decode_pcm_s16le(whole.tobytes(), source_rate=44100, sampling_rate=RATE).samples,
        from_samples(whole.astype(np.int64), source_rate=44100, sampling_rate=RATE).samples,
    ):
        np.testing.assert_array_equal(samples, expected)


@pytest.mark.parametrize(
    ("reason", "detail", "function", "data", "options"),
    [
        ("bad_audio", "3 bytes, an odd number", decode_pcm_s16le, b"odd", {}),
        ("bad_audio", "a sampling rate of 0 Hz", decode_pcm_s16le, PCM, {"source_rate": 0}),
        ("empty_audio", "no samples", decode_pcm_s16le, b"", {}),
        ("empty_audio", "no samples are left", decode_pcm_s16le, PCM[:2], {"source_rate": 768_000}),
        ("over_limit", "1.000 s, longer than 0.5 s", decode_pcm_s16le, PCM, {"max_seconds": 0.5}),
        ("bad_audio", "got -5 to 32768", from_samples, np.array([-5, 32768]), {}),
        ("bad_audio", "got -32769 to 0", from_samples, np.array([-32769, 0]), {}),
        ("empty_audio", "no samples", from_samples, np.array([], np.int64), {}),
        ("empty_audio", "no samples", from_samples, np.array([], np.float32), {}),
        ("not_finite", "sample 1 is inf", from_samples, np.array([0, np.inf]), {}),
        ("not_finite", "sample 1 is nan", from_samples, np.array([1e300, np.nan]), {}),
        ("out_of_range", "sample 0 is 1e+300", from_samples, np.array([1e300]), {}),
        ("out_of_range", "divide 16-bit samples by 32768", from_samples, np.round(NOISE * 32767), {}),
        ("over_limit", "longer than 0.5 s", from_samples, NOISE, {"max_seconds": 0.5}),
    ],
)
@pytest.mark.filterwarnings("error")
def test_rejects(reason, detail, function, data, options):
    with pytest.raises(Reject) as reject:
        function(data, **{"source_rate": RATE, "sampling_rate": RATE, **options})
    assert reject.value.reason == reason
    assert detail in reject.value.detail


def adts_frame(size=200):
    """MPEG-4 AAC-LC, 16 kHz, mono; ISO/IEC 13818-7, 6.2."""
    bits = f"{0xFFF:012b}0001{1:02b}{8:04b}0{1:03b}0000{size:013b}{0x7FF:011b}00"
    return int(bits, 2).to_bytes(7, "big") + bytes(size - 7)


FILES = {
    "WAV": encode(NOISE, RATE, "WAV"),
    "FLAC": encode(NOISE, RATE, "FLAC"),
    "Ogg": encode(NOISE, RATE, "OGG", "OPUS"),
    "MP3": encode(NOISE, RATE, "MP3"),
    "ID3 tag": b"ID3\3\0\0\0\0\1\0" + bytes(128) + encode(NOISE, RATE, "MP3"),
    "AIFF": encode(NOISE, RATE, "AIFF"),
    "AU": encode(NOISE, RATE, "AU"),
    "CAF": encode(NOISE, RATE, "CAF"),
    "WAV in W64": encode(NOISE, RATE, "W64"),
    "SPHERE": encode(NOISE, RATE, "NIST"),
    "M4A or MP4": struct.pack(">I4s4s", 20, b"ftyp", b"M4A ") + bytes(80),
    "WebM or Matroska": b"\x1a\x45\xdf\xa3" + bytes(80),
    "AAC": adts_frame() * 3,
    "AC-3": (b"\x0b\x77\0\0\x00\x40" + bytes(122)) * 2,
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_no_raw_samples(name):
    data = FILES[name][: len(FILES[name]) // 2 * 2]
    with pytest.raises(
        Reject, match=rf"begin as a file does \({name.split(' in ')[0]}\): pass --audio_format=encoded"
    ) as reject:
        decode_pcm_s16le(data, source_rate=RATE, sampling_rate=RATE)
    assert reject.value.reason == "bad_audio"


CUT = {
    "MP3": [bytes(4) + encode(NOISE, RATE, "MP3"), encode(NOISE, RATE, "MP3")[50:]],
    "WAV": [bytes(2) + encode(NOISE, RATE, "WAV"), bytes(300) + encode(NOISE, RATE, "WAV")],
    "gzip": [gzip.compress(NOISE.tobytes())],
    "NumPy": [b"\x93NUMPY\1\0v\0{'descr': '<i2'}" + bytes(400)],
    "text": [b"The requested file was not found.\n" * 30, base64.b64encode(encode(NOISE, RATE, "WAV"))],
}
# What `tf.io.serialize_tensor` makes of int16 [8000] and of a text: a TensorProto's dtype, shape and content.
TENSORS = [b"\x08\x05\x12\x05\x12\x03\x08\xc0\x3e\x22\x80\x7d" + PCM[:16000], b"\x08\x07\x12\x00\x42\x04RIFF"]
CUT |= {
    "a tensor of tf.io.serialize_tensor": TENSORS,
    "pickle": [pickle.dumps(NOISE, protocol) for protocol in range(2, 6)],
}
CUT_FILES = [(name, data[: len(data) // 2 * 2]) for name, files in CUT.items() for data in files]


@pytest.mark.parametrize(("name", "data"), CUT_FILES)
def test_nor_is_one_behind_zeros_or_cut_from_a_stream(name, data):
    with pytest.raises(Reject, match=rf"begin as a file does \({name}\)"):
        check_is_no_file(data)


@pytest.mark.parametrize("name", FILES)
def test_a_list_of_a_files_bytes_is_no_samples(name):
    data = FILES[name][: len(FILES[name]) // 2 * 2]
    pairs, single = np.frombuffer(data, "<i2"), np.frombuffer(data, np.uint8)
    for samples in (pairs, pairs.astype(np.int64), pairs / np.float32(32768), single, single.view(np.int8)):
        with pytest.raises(Reject, match=rf"are the bytes of a file \({name.split(' in ')[0]}\)") as reject:
            from_samples(samples, source_rate=RATE, sampling_rate=RATE)
        assert reject.value.reason == "bad_audio"


def test_a_file_of_mpeg_layer_2_is_no_raw_samples():
    # MPEG-1 layer II, 128 kbit/s at 48 kHz: 144 * 128000 / 48000 bytes a frame (ISO/IEC 11172-3, 2.4.3.1).
    with pytest.raises(Reject, match="MP3"):
        check_is_no_file((b"\xff\xfd\x84\x04" + bytes(380)) * 2)


def test_one_header_alone_may_be_samples():
    mp3 = encode(NOISE, RATE, "MP3")
    check_is_no_file(mp3[:200])
    check_is_no_file(mp3[:4] + bytes(5000))


def test_no_quiet_recording_is_taken_for_a_file():
    """-1 is FF FF, with which an MPEG header begins too. 100,000 clips, of which many overlap by chance."""
    rng = np.random.default_rng(0)
    for deviation in (0.5, 1, 2, 5, 15, 50, 150, 500):
        recording = np.rint(rng.normal(0, deviation, 1 << 20)).astype("<i2").tobytes()
        for start in rng.integers(0, (1 << 20) - 800, 12_500):
            check_is_no_file(recording[2 * start : 2 * start + 1600])
        for start in rng.integers(0, (1 << 20) - 800, 1000):
            assert name_of_file_in(np.frombuffer(recording, "<i2", 800, 2 * start)) is None
    check_is_no_file(np.full(4000, -1, "<i2").tobytes())
    check_is_no_file(np.resize(np.array([-1, 0], "<i2"), 4000).tobytes())
