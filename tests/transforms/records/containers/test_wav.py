"""WAV and its kin: the size of their data against what is there, chunks around it, block codecs."""

import struct

import making
import numpy as np
import pytest

from melbeam.transforms.records.containers import inspect, pcm, samples_in_place

SAMPLES = making.noise(1)
WAV = making.encode(SAMPLES, subtype="PCM_16")
N = making.RATE
CHUNKS = making.wav_chunks(WAV)
FMT, AUDIO = (content for _, content in CHUNKS)
EXPECTED = np.frombuffer(AUDIO, "<i2")[:, None] / 32768
# The GUID of PCM, whose first three fields have the file's order of bytes.
GUID = struct.pack(">IHH", 1, 0, 16) + bytes.fromhex("800000aa00389b71")
BIG_EXTENSIBLE = struct.pack(">HHIIHHHHI", 0xFFFE, 1, 16000, 32000, 2, 16, 22, 16, 4) + GUID
LIST = (b"LIST", b"INFOICMT" + struct.pack("<I", 4) + b"abc\0")
TAG = b"ID3\3\0\0\0\0\1\0" + bytes(128)


def with_data_size(size, riff_size=None):
    data = making.with_value(WAV, 40, "<I", size)
    return data if riff_size is None else making.with_value(data, 4, "<I", riff_size)


def check_is_whole(data, num_samples=N):
    contents = inspect(data)
    assert contents.num_samples == num_samples
    np.testing.assert_array_equal(making.decode(contents), EXPECTED[:num_samples])
    return contents


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("as libsndfile writes it", WAV),
        ("size 0", with_data_size(0, 36)),
        ("size 0, RIFF's too", with_data_size(0, 0)),
        ("ffmpeg's to a pipe", with_data_size(0xFFFFFFFF, 0xFFFFFFFF)),
        ("espeak-ng's", with_data_size(0x7FFFF000, 0x7FFFF024)),
        ("sox's", with_data_size(0x7FFFFFDB, 0x7FFFFFFF)),
        ("a tag in front", TAG + WAV),
        ("a tag in front, size 0", TAG + with_data_size(0)),
        ("zeros in front", bytes(8) + WAV),
        ("size 0, a tag behind", with_data_size(0) + b"TAG" + bytes(125)),
        ("a tag behind", WAV + b"TAG" + bytes(125)),
        ("a chunk behind", making.wav_of([*CHUNKS, LIST])),
        ("chunks in front", making.wav_of([(b"JUNK", bytes(28)), *CHUNKS[:1], LIST, *CHUNKS[1:]])),
        ("an odd chunk in front", making.wav_of([CHUNKS[0], (b"note", b"odd"), CHUNKS[1]])),
        ("an odd chunk, not padded", making.wav_of([CHUNKS[0]]) + b"note\3\0\0\0odd" + WAV[36:]),
        ("a RIFF size that is wrong", making.with_value(WAV, 4, "<I", 99)),
        ("extensible", making.encode(SAMPLES, kind="WAVEX", subtype="PCM_16")),
        (
            "extensible, big-endian",
            pcm.wav(BIG_EXTENSIBLE, np.frombuffer(AUDIO, "<i2").astype(">i2").tobytes(), ">"),
        ),
        ("RF64", making.encode(SAMPLES, kind="RF64", subtype="PCM_16")),
        ("W64", making.encode(SAMPLES, kind="W64", subtype="PCM_16")),
        ("big-endian", making.encode(SAMPLES, subtype="PCM_16", endian="BIG")),
        ("zeros behind", WAV + bytes(100)),
        ("a byte behind", WAV + b"\n"),
        ("a size that counts a byte more", with_data_size(len(AUDIO) + 1)),
        ("a fact that is of no use", making.wav_of([CHUNKS[0], (b"fact", bytes(4)), CHUNKS[1]])),
    ],
)
def test_whole_files(name, data):
    check_is_whole(data)


def test_bw64():
    rf64 = making.encode(SAMPLES, kind="RF64", subtype="PCM_16")
    check_is_whole(b"BW64" + rf64[4:])
    # Written to a pipe, its sizes stay 0 or unknown.
    at = rf64.find(b"ds64")
    zero_sizes = rf64[: at + 8] + bytes(24) + rf64[at + 32 :]
    check_is_whole(zero_sizes)


def test_the_header_alone_is_handed_over_as_it_is():
    assert check_is_whole(WAV).parts[0].data is WAV
    assert check_is_whole(making.wav_of([*CHUNKS, LIST])).parts[0].data == WAV
    assert check_is_whole(with_data_size(0)).remark == "its data chunk says 0 bytes, 32000 are there"


@pytest.mark.parametrize(
    ("detail", "data"),
    [
        ("a cut WAV: its header promises 32000 bytes, 31999 are there", WAV[:-1]),
        ("a cut WAV: its header promises 32000 bytes, 16000 are there", WAV[:-16000]),
        ("a cut RF64", making.encode(SAMPLES, kind="RF64", subtype="PCM_16")[:-2]),
        ("a cut W64", making.encode(SAMPLES, kind="W64", subtype="PCM_16")[:-10]),
        ("without a data chunk: its chunks end at byte 36", WAV[:36]),
        ("promises 31000 bytes, 32000 are there, and those behind are no chunks", with_data_size(31000)),
        ("'RIFF' begins there: two were joined", WAV + WAV),
        ("'data' begins there", making.wav_of([*CHUNKS, CHUNKS[1]])),
        ("no fmt chunk in front", making.wav_of(CHUNKS[::-1])),
        ("fmt chunk has 8 bytes", making.wav_of([(b"fmt ", FMT[:8]), CHUNKS[1]])),
        ("1 channels of 16 bits at 16001 Hz", making.with_value(WAV, 24, "<I", 16001)),
        ("3 channels", making.with_value(WAV, 22, "<H", 3)),
        ("0 channels", making.with_value(WAV, 22, "<H", 0)),
        ("24 bits", making.with_value(WAV, 34, "<H", 24)),
        ("codec 0x00FF", making.with_value(WAV, 20, "<H", 0xFF)),
        ("32100 are there, and those behind are no chunks", WAV + b"1234 text" * 11 + b"\n"),
    ],
)
def test_files_that_are_not_whole(detail, data):
    assert detail in making.reject_of(data)


def test_a_wav_of_no_audio_is_empty():
    """No audio behind a size of 0: nothing at all, or chunks."""
    for chunks in ([CHUNKS[0], (b"data", b"")], [CHUNKS[0], (b"data", b""), LIST]):
        assert inspect(making.wav_of(chunks)).num_samples == 0


def test_cut_tolerance():
    for missing in (1, 2, 799, 800):
        data = WAV[: -2 * missing]
        contents = inspect(data, cut_tolerance_seconds=0.05)
        assert (contents.num_samples, contents.cut_tolerated) == (N - missing, True)
        np.testing.assert_array_equal(making.decode(contents), EXPECTED[:-missing])
    assert "cut" in making.reject_of(WAV[: -2 * 801], cut_tolerance_seconds=0.05)
    assert not inspect(WAV, cut_tolerance_seconds=0.05).cut_tolerated
    for kind in ("AIFF", "AU", "CAF", "W64", "RF64"):
        data = making.encode(SAMPLES, kind=kind, subtype="PCM_16")[:-200]
        contents = inspect(data, cut_tolerance_seconds=0.05)
        assert contents.cut_tolerated
        assert N - 101 <= len(making.decode(contents)) < N


QUIET = (0.02 * np.sin(np.arange(9600) / 8)).astype(np.float32)[:, None]


@pytest.mark.parametrize("blocks", [1, 28, 29, 30])
def test_gsm_has_the_blocks_that_are_there(blocks):
    chunks = dict(making.wav_chunks(making.encode(QUIET, 8000, subtype="GSM610")))
    audio, samples = chunks[b"data"][: 65 * blocks], 320 * blocks
    for behind in ([], [LIST], [(b"LIST", b"INFOICMT" + bytes(range(16, 255)))]):
        fact = (b"fact", struct.pack("<I", samples))
        data = making.wav_of([(b"fmt ", chunks[b"fmt "]), fact, (b"data", audio), *behind])
        decoded = making.decode(inspect(data))
        assert len(decoded) == samples
        assert np.abs(decoded).max() < 0.05


@pytest.mark.parametrize(("subtype", "block", "head"), [("IMA_ADPCM", 256, 4), ("MS_ADPCM", 256, 7)])
@pytest.mark.parametrize("rest", [0, 20, 128, 255])
def test_adpcm_ends_with_its_last_block(subtype, block, head, rest):
    chunks = dict(making.wav_chunks(making.encode(QUIET, 8000, subtype=subtype)))
    audio = chunks[b"data"][: 4 * block + rest]
    (samples_a_block,) = struct.unpack_from("<H", chunks[b"fmt "], 18)
    first = 1 if subtype == "IMA_ADPCM" else 2
    samples = 4 * samples_a_block + ((rest - head) * 2 + first if rest else 0)
    for behind in ([], [(b"LIST", b"INFOICMT" + bytes(range(16, 256)) * 2)]):
        data = making.wav_of([(b"fmt ", chunks[b"fmt "]), (b"data", audio), *behind])
        decoded = making.decode(inspect(data))
        assert len(decoded) == samples
        assert np.abs(decoded).max() < 0.04
        np.testing.assert_allclose(decoded[: samples - 1], QUIET[: samples - 1], atol=0.01)


def test_fact_says_how_much_of_the_last_block_is_audio():
    for subtype in ("IMA_ADPCM", "MS_ADPCM", "GSM610"):
        chunks = dict(making.wav_chunks(making.encode(QUIET, 8000, subtype=subtype)))
        data = [(b"fmt ", chunks[b"fmt "]), (b"fact", struct.pack("<I", 9600)), (b"data", chunks[b"data"])]
        assert len(making.decode(inspect(making.wav_of(data)))) == 9600
        data[1] = (b"fact", struct.pack("<I", 19000))
        assert "its fact chunk promises 19000" in making.reject_of(making.wav_of(data))


def place_in(data, head=1 << 12):
    return samples_in_place(data[:head], len(data), lambda start, size: data[start : start + size])


@pytest.mark.parametrize(
    "chunks", [CHUNKS, [*CHUNKS, LIST], [LIST, *CHUNKS], [*CHUNKS[:1], LIST, *CHUNKS[1:], LIST]]
)
@pytest.mark.parametrize("name", [b"RIFF", b"RF64"])
def test_where_samples_lie_is_told_by_the_header_and_what_is_behind(chunks, name):
    data = making.wav_of(chunks, name)
    place = place_in(data)
    assert (place.rate, place.num_samples, place.num_bytes) == (making.RATE, inspect(data).num_samples, 2)
    assert data[place.start : place.start + 2 * place.num_samples] == AUDIO
    part = making.decode(inspect(place.wav(AUDIO[100:300])))
    np.testing.assert_array_equal(part, EXPECTED[50:150])


@pytest.mark.parametrize(
    "data",
    [
        with_data_size(0, 36),
        with_data_size(0xFFFFFFFF, 0xFFFFFFFF),
        WAV[:-2],
        TAG + WAV,
        WAV + WAV,
        WAV + bytes(range(1, 99)),
        making.read("sox-gsm.wav"),
        making.read("sox-ima.wav"),
        making.read("ffmpeg-ima.w64"),
        making.read("flac.flac"),
        making.with_value(WAV, 28, "<I", 1),  # bytes a second
        b"",
    ],
)
def test_of_other_files_all_bytes_tell_where_samples_lie(data):
    assert place_in(data) is None


def test_a_header_that_is_not_at_hand_tells_nothing():
    data = making.wav_of([(b"JUNK", bytes(1 << 13)), *CHUNKS])
    assert place_in(data) is None
    assert place_in(data, 1 << 14).num_samples == N
