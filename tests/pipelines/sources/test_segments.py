"""Segments are the samples of the whole file there, or rejects where the whole file is one."""

import io
import struct

import numpy as np
import pytest
import soundfile

from helpers import RATE, encode
from melbeam.pipelines.sources.segments import Recordings
from melbeam.transforms.records.audio_bounds import EACH
from melbeam.transforms.records.decoding import decode_audio
from melbeam.transforms.records.rejects import Reject

NOISE = np.random.default_rng(3).integers(-9000, 9000, 2 * RATE, "int16")
PCM = NOISE.astype("<i2").tobytes()
WAV, FLAC = encode(NOISE), encode(NOISE, RATE, "FLAC")
LIST = b"LIST" + struct.pack("<I", 400) + b"INFO" + bytes(range(32, 128)) * 4 + bytes(12)
OPEN = (0xFFFFFFFF).to_bytes(4, "little")
ID3 = b"ID3\3\0\0\0\0\1\0" + bytes(128)


def with_data_size(size, behind=b""):
    """The WAV as a writer to a pipe leaves it."""
    return WAV[:4] + size + WAV[8:40] + size + PCM + behind


def rf64(num_bytes):
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, 0, len(PCM), len(NOISE), 0)
    return (b"RF64" + OPEN + b"WAVE" + ds64 + WAV[12:36] + b"data" + OPEN + PCM)[: 80 + num_bytes]


def flac_frames():
    """Where the frames of the FLAC begin: 14 bits of sync, a fixed block size (RFC 9639, 9.1), its number."""
    starts = [FLAC.index(b"\xff\xf8")]
    head = FLAC[starts[0] : starts[0] + 4]
    while (start := FLAC.find(head + bytes([len(starts)]), starts[-1])) >= 0:
        starts.append(start)
    return starts


def flac_of(*order):
    starts = [*flac_frames(), len(FLAC)]
    return FLAC[: starts[0]] + b"".join(FLAC[starts[k] : starts[k + 1]] for k in order)


def flac_total(num_samples):
    return FLAC[:22] + num_samples.to_bytes(4, "big") + FLAC[26:]


def of_blocks(subtype, num_bytes):
    """A WAV of a codec in blocks, of so many bytes of audio, with a chunk of text behind."""
    whole = encode(NOISE[:9600], 8000, "WAV", subtype)
    at = whole.index(b"data")
    head = whole[:at].replace(b"fact", b"JUNK")  # what says where the last block ends
    return (
        head + b"data" + struct.pack("<I", num_bytes) + whole[at + 8 :][:num_bytes] + bytes(num_bytes % 2) + LIST
    )


NUM_FRAMES = len(flac_frames())
FILES = {
    "WAV": WAV,
    "WAV of unsigned bytes": encode(NOISE, RATE, "WAV", "PCM_U8"),
    "WAV of A-law": encode(NOISE, RATE, "WAV", "ALAW"),
    "WAV with its format as a GUID": encode(NOISE, RATE, "WAVEX", "PCM_24"),
    "WAV with chunks behind": WAV + LIST,
    "big-endian WAV": b"RIFX"
    + struct.pack(">I8sIHHIIHH4sI", 36 + len(PCM), b"WAVEfmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16, b"data", len(PCM))
    + NOISE.astype(">i2").tobytes(),
    "WAV of size 0": with_data_size(bytes(4)),
    "WAV of open size": with_data_size(OPEN),
    "WAV of open size with chunks behind": with_data_size(OPEN, LIST),
    "WAV behind a tag": ID3 + WAV,
    "WAV of GSM": of_blocks("GSM610", 29 * 65),
    "WAV of IMA ADPCM": of_blocks("IMA_ADPCM", 4 * 256 + 128),
    "WAV of MS ADPCM": of_blocks("MS_ADPCM", 4 * 256 + 100),
    "RF64": rf64(len(PCM)),
    "FLAC": FLAC,
    "FLAC behind a tag": ID3 + FLAC,
    "FLAC with a tag behind": FLAC + b"TAG" + bytes(125),
    "FLAC of more than it says": flac_total(RATE),
    "FLAC of unknown length": flac_total(0),
    "FLAC that libsndfile does not seek in": FLAC[:8] + bytes([FLAC[8] ^ 1]) + FLAC[9:],  # its smallest block
    "FLAC of 24 bits": encode(NOISE / 2**15, RATE, "FLAC", "PCM_24"),
    "Ogg": encode(NOISE, RATE, "OGG"),
}
NO_FILES = {
    "WAV, cut": WAV[:-1000],
    "WAV, cut by a byte": WAV[:-1],
    "WAV and another": WAV + WAV,
    "WAV and what is no chunk": WAV + bytes(range(1, 200)),
    "WAV of contradicting numbers": WAV[:28] + struct.pack("<I", 1) + WAV[32:],
    "RF64, cut": rf64(len(PCM) - 1000),
    "FLAC, cut": FLAC[:-1000],
    "FLAC and another": FLAC + FLAC,
    "FLAC without a frame": flac_of(*(k for k in range(NUM_FRAMES) if k != 2)),
    "FLAC with two frames in each other's place": flac_of(1, 0, *range(2, NUM_FRAMES)),
    "FLAC of fewer than it says": flac_total(3 * RATE),
}


class Counted(io.BytesIO):
    """A file that counts the bytes that are read of it."""

    def __init__(self, data):
        super().__init__(data)
        self.num_read = 0

    def read(self, size=-1):
        data = super().read(size)
        self.num_read += len(data)
        return data


def segment(data, start, end=None, max_bytes=1 << 28):
    recordings = Recordings(max_bytes, lambda _: io.BytesIO(data))
    try:
        wav = recordings.segment("x", start, end)
    finally:
        recordings.close()
    return soundfile.read(io.BytesIO(wav), dtype="float32", always_2d=True)[0]


@pytest.mark.parametrize("name", FILES)
def test_segments_are_the_samples_of_the_whole(name):
    data = FILES[name]
    rate = decode_audio(data, sampling_rate=RATE).source_rate
    whole = decode_audio(data, sampling_rate=rate, channel=EACH).samples
    seconds = len(whole) / rate
    assert seconds > 0.25
    for start, end in (
        (0.0, None),
        (0.0, 0.125),
        (0.0625, 0.1875),
        (seconds / 2, None),
        (seconds - 0.0625, seconds),
    ):
        expected = whole[round(start * rate) : None if end is None else round(end * rate)]
        np.testing.assert_array_equal(segment(data, start, end), expected)


@pytest.mark.parametrize("name", NO_FILES)
def test_a_file_that_is_none_has_no_segments(name):
    with pytest.raises(Reject) as whole:
        decode_audio(NO_FILES[name], sampling_rate=RATE)
    assert whole.value.reason == "bad_audio"
    for start, end in ((0.0, None), (0.25, 0.5)):
        with pytest.raises(Reject) as reject:
            segment(NO_FILES[name], start, end)
        assert reject.value.reason == "bad_audio"


@pytest.mark.parametrize("name", ["WAV", "WAV with chunks behind", "RF64", "FLAC"])
def test_a_file_above_the_limit_is_read_at_the_segment(name):
    np.testing.assert_array_equal(segment(FILES[name], 0.5, 1.0, max_bytes=1000)[:, 0] * 2**15, NOISE[8000:16000])


def test_of_a_wav_no_more_is_read_than_its_header_and_the_segments():
    silence = encode(np.zeros(600 * RATE, np.int16))
    file = Counted(silence)
    recordings = Recordings(1 << 28, lambda _: file)
    for start in (1.0, 300.0, 599.0):
        recordings.segment("x", start, start + 1)
    recordings.close()
    assert file.num_read < 3 * 2 * RATE + (128 << 10) < len(silence) / 50


@pytest.mark.parametrize(
    ("kind", "endian"), [("WAV", "FILE"), ("WAV", "BIG"), ("WAVEX", "FILE"), ("RF64", "FILE")]
)
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_channels_of_a_wav_are_those_that_libsndfile_gives(kind, endian, subtype):
    data = encode(NOISE.reshape(-1, 2), RATE, kind, subtype, endian=endian)
    whole = soundfile.read(io.BytesIO(data), dtype="float32")[0]
    recordings = Recordings(1 << 28, lambda _: io.BytesIO(data))
    for channel, expected in ((None, whole), (0, whole[:, :1]), (1, whole[:, 1:])):
        for start, end in ((0.0, None), (0.25, 0.625)):
            wav = recordings.segment("x", start, end, channel)
            samples, rate = soundfile.read(io.BytesIO(wav), dtype="float32", always_2d=True)
            last = None if end is None else round(end * RATE)
            np.testing.assert_array_equal(samples, expected[round(start * RATE) : last])
            assert rate == RATE
            assert soundfile.info(io.BytesIO(wav)).subtype == ("PCM_16" if subtype == "PCM_16" else "FLOAT")
    with pytest.raises(Reject, match="channel 2 is asked for, and the file has 2"):
        recordings.segment("x", 0.0, 0.5, 2)
    recordings.close()


@pytest.mark.parametrize("name", ["WAV", "WAV of A-law"])
def test_a_file_that_is_cut_after_it_was_opened_is_told(name):
    file = io.BytesIO(FILES[name])
    recordings = Recordings(1 << 28, lambda _: file)
    recordings.segment("x", 0.0, 0.5)
    file.truncate(len(FILES[name]) // 2 + 1)
    with pytest.raises(Reject, match=r"of the segment's 16000 samples [0-9]+ can be decoded"):
        recordings.segment("x", 0.5, 1.5)
    recordings.close()


def test_a_header_beyond_the_first_bytes_is_found():
    padding = b"JUNK" + struct.pack("<I", 100_000) + bytes(100_000)
    data = WAV[:12] + padding + WAV[12:]
    np.testing.assert_array_equal(segment(data, 0.5, 1.0, max_bytes=1000)[:, 0] * 2**15, NOISE[8000:16000])
