"""Whole files: formats, reject reasons, cut and damaged files, headers of pipes, mixing, limits."""

import struct
import tracemalloc
from contextlib import suppress
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import encode
from melbeam.transforms.records.decoding import decode_audio, files, libsndfile
from melbeam.transforms.records.decoding.audio import DecoderError
from melbeam.transforms.records.rejects import Reject

RATE = 16000
LOSSLESS = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_16")]
FORMATS = [*LOSSLESS, ("MP3", None), ("OGG", "VORBIS"), ("OGG", "OPUS")]
MAGICS = [b"", b"RIFF\x40\0\0\0WAVE", b"fLaC", b"OggS", b"ID3", b"\xff\xfb"]


def tone(seconds=1.0, rate=RATE, frequency=440.0):
    return (0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def with_value(data, offset, kind, value):
    changed = bytearray(data)
    struct.pack_into(kind, changed, offset, value)
    return bytes(changed)


def with_flac_total(data, total):
    """STREAMINFO's number of samples is the last 36 of the 64 bits at byte 18."""
    (bits,) = struct.unpack_from(">Q", data, 18)
    return with_value(data, 18, ">Q", bits >> 36 << 36 | total)


def reject_of(function, *args, **options):
    with pytest.raises(Reject) as reject:
        function(*args, **{"sampling_rate": RATE, **options})
    return reject.value


TONE = tone()
NOISE = (0.1 * np.random.default_rng(7).standard_normal(RATE)).astype(np.float32)
PCM = np.round(TONE * 32767).astype("<i2")
WAV = encode(TONE)
FLAC = encode(NOISE, kind="FLAC")
VALID = [encode(NOISE[:3000], kind=kind, subtype=subtype) for kind, subtype in FORMATS]


@pytest.mark.parametrize(("kind", "subtype"), FORMATS)
@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_formats(kind, subtype, rate, channels):
    clip = tone(rate=rate)
    data = encode(np.stack([clip] * channels, axis=1), rate, kind, subtype)
    audio = decode_audio(data, sampling_rate=RATE, declared_rate=rate, max_seconds=1.2)
    assert (audio.source_rate, audio.resampled, audio.mixed_down) == (rate, rate != RATE, channels == 2)
    assert audio.samples.dtype == np.float32
    assert audio.samples.shape == (RATE,)
    inside = slice(1600, -1600)  # away from the edges of codecs and resampler
    error = audio.samples[inside] - TONE[inside]
    # A shift by one sample of 16 kHz is an error above 0.025.
    assert np.sqrt(np.mean(error**2)) < (1e-4 if (kind, subtype) in LOSSLESS else 0.02)


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_every_16_bit_value_is_exact(kind):
    values = np.arange(-32768, 32768).astype(np.int16)
    expected = (values / 32768).astype(np.float32)
    np.testing.assert_array_equal(decode_audio(encode(values, kind=kind), sampling_rate=RATE).samples, expected)


def outcome(data, options):
    try:
        audio = decode_audio(data, sampling_rate=8000, **options)
    except Reject as reject:
        return reject.reason, reject.detail
    return audio.samples.tobytes(), audio.source_rate, audio.resampled, audio.mixed_down


@pytest.mark.parametrize("options", [{}, {"declared_rate": RATE}, {"declared_rate": 8000}, {"max_seconds": 0.01}])
def test_libsndfile_says_the_same_of_a_plain_wav(options, monkeypatch):
    """Whole, cut, lengthened, and with every byte of its header changed."""
    plain = encode(NOISE[:1000])
    damaged = [
        plain,
        plain[:44],
        plain[:-1],
        plain[:-2],
        plain + b"\0",
        plain + b"\0\0",
        plain[:43],
        encode(NOISE[:0]),
    ]
    damaged += [with_value(plain, i, "B", plain[i] ^ bit) for i in range(44) for bit in (1, 2, 64, 128)]
    assert files._rate_of_plain_wav(plain) == RATE
    quickly = [outcome(data, options) for data in damaged]
    monkeypatch.setattr(files, "_rate_of_plain_wav", lambda data: None)
    for data, quick in zip(damaged, quickly, strict=True):
        assert quick == outcome(data, options), data[:44]


def test_channels_are_averaged():
    left, right = NOISE, np.roll(NOISE, 1) * np.float32(0.3)
    audio = decode_audio(encode(np.stack([left, right], axis=1), subtype="FLOAT"), sampling_rate=RATE)
    np.testing.assert_array_equal(audio.samples, ((left.astype("f8") + right) / 2).astype(np.float32))


def test_a_clip_of_many_blocks_is_whole():
    clip = np.resize(NOISE, 700_001)  # two channels of it are more than one block
    audio = decode_audio(encode(np.stack([clip, clip], axis=1), subtype="FLOAT"), sampling_rate=RATE)
    np.testing.assert_array_equal(audio.samples, clip)


@pytest.mark.parametrize("kind", ["MP3", "FLAC"])
def test_neither_the_blocks_nor_where_the_bytes_lie_show(kind, monkeypatch):
    data = encode(tone(5.3), RATE, kind)
    expected = decode_audio(data, sampling_rate=RATE).samples
    with monkeypatch.context() as patch:
        patch.setattr(libsndfile, "MAX_WHOLE_VALUES", 0)
        np.testing.assert_array_equal(decode_audio(data, sampling_rate=RATE).samples, expected)
    monkeypatch.setattr(libsndfile, "_MAX_COPIED", 0)
    np.testing.assert_array_equal(decode_audio(data, sampling_rate=RATE).samples, expected)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux lists a process's descriptors")
def test_no_descriptor_stays_open():
    """Here in the thread of the test, whose descriptors are the process's."""
    mp3, opened = encode(tone(), RATE, "MP3"), len(list(Path("/proc/self/fd").iterdir()))
    for data in (mp3, mp3[:1], mp3[:3] + b"\0" * 50):
        with suppress(DecoderError), libsndfile.open_with_libsndfile(data) as clip:
            next(clip.blocks)
        assert len(list(Path("/proc/self/fd").iterdir())) == opened


def test_fewer_samples_than_the_header_promises_are_taken_where_that_is_asked_for():
    cut = WAV[:-320]  # 10 ms
    assert reject_of(decode_audio, cut).reason == "bad_audio"
    assert reject_of(decode_audio, cut, cut_tolerance_seconds=0.009).reason == "bad_audio"
    audio = decode_audio(cut, sampling_rate=RATE, cut_tolerance_seconds=0.01)
    np.testing.assert_array_equal(audio.samples, decode_audio(WAV, sampling_rate=RATE).samples[:-160])
    assert (audio.cut_short, decode_audio(WAV, sampling_rate=RATE, cut_tolerance_seconds=0.01).cut_short) == (
        True,
        False,
    )


def test_the_md5_of_a_flac_is_checked_where_that_is_asked_for():
    assert len(decode_audio(FLAC, sampling_rate=RATE, check_md5=True).samples) == RATE
    other = with_value(FLAC, 26, "B", FLAC[26] ^ 1)  # the MD5 is the last 16 bytes of STREAMINFO
    assert len(decode_audio(other, sampling_rate=RATE).samples) == RATE
    assert "MD5" in reject_of(decode_audio, other, check_md5=True).detail


def test_the_folder_of_the_process_changes_nothing(monkeypatch, tmp_path):
    here = [outcome(data, {}) for data in (*VALID, b"RIFF", b"no audio")]
    monkeypatch.chdir(tmp_path)
    assert [outcome(data, {}) for data in (*VALID, b"RIFF", b"no audio")] == here


def test_demo_clips_decode():
    clips = [clip for clip in resources.files("melbeam.pipelines.demo_clips").iterdir() if clip.name[0] == "0"]
    assert len(clips) == 8
    for clip in clips:
        samples = decode_audio(clip.read_bytes(), sampling_rate=RATE, max_seconds=6).samples
        assert len(samples) > 2 * RATE
        assert 0.1 < np.abs(samples).max() <= 1.1


WITH_PEAK = np.where(np.arange(RATE) == 5, -16.5, 0)
WITH_NAN = np.where(np.arange(RATE) == 5, np.nan, 0)
STEREO_CUT = encode(np.stack([NOISE, NOISE], axis=1))[:-4]


@pytest.mark.parametrize(
    ("reason", "detail", "data", "options"),
    [
        ("bad_audio", "0 bytes that cannot", b"", {}),
        ("bad_audio", "4 bytes that cannot", b"RIFF", {}),
        ("bad_audio", "a sampling rate of 999 Hz", encode(NOISE, 999), {}),
        ("bad_audio", "a sampling rate of 768001 Hz", encode(NOISE, 768001), {}),
        ("bad_audio", "768001 Hz, but", with_value(WAV, 24, "<I", 768001), {}),
        ("bad_audio", "65 channels", encode(np.zeros((10, 65), np.float32)), {}),
        ("bad_audio", "promises 64000 bytes, 63996 are there", STEREO_CUT, {}),
        ("bad_audio", "promises 32000 bytes", encode(NOISE, kind="RF64")[:-1000], {}),
        ("bad_audio", "promises 32000 bytes", encode(NOISE, endian="BIG")[:-1000], {}),
        ("bad_audio", "cannot be decoded", FLAC[:-1000], {}),
        ("bad_audio", "promises 16001 samples a channel, 16000", with_flac_total(FLAC, 16001), {}),
        ("bad_audio", "a cut MP3", encode(NOISE, kind="MP3")[:-1000], {}),
        ("bad_audio", "a cut Ogg", encode(NOISE, kind="OGG", subtype="VORBIS")[:-100], {}),
        ("bad_audio", "a cut Ogg", encode(NOISE, kind="OGG", subtype="OPUS")[:-100], {}),
        ("empty_audio", "no samples", encode(NOISE[:0]), {}),
        ("empty_audio", "no samples are left", encode(NOISE[:1], 768000), {}),
        ("not_finite", "sample 5 is nan", encode(WITH_NAN, subtype="FLOAT"), {}),
        ("out_of_range", "sample 5 is -16.5, beyond 16", encode(WITH_PEAK, subtype="FLOAT"), {}),
        (
            "out_of_range",
            "sample 5 is -16.5, beyond 16",
            encode(np.stack([WITH_PEAK, -WITH_PEAK], axis=1), subtype="FLOAT"),
            {},
        ),
        ("out_of_range", "32768", encode(np.rint(NOISE * 32768), 8000, subtype="DOUBLE"), {}),
        ("rate_mismatch", "says 8000 Hz, its audio says 16000 Hz", WAV, {"declared_rate": 8000}),
        ("over_limit", "longer than 0.9 s", WAV, {"max_seconds": 0.9}),
        ("over_limit", "longer than 0.9 s", encode(TONE, kind="MP3"), {"max_seconds": 0.9}),
        ("over_limit", "longer than 0.9 s", encode(TONE, kind="OGG"), {"max_seconds": 0.9}),
    ],
)
def test_rejects(reason, detail, data, options):
    reject = reject_of(decode_audio, data, **options)
    assert reject.reason == reason
    assert detail in reject.detail


# What ffmpeg, espeak-ng and sox leave where they write to a pipe.
@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFDB])
def test_a_piped_wav_is_read_to_its_end(size):
    np.testing.assert_array_equal(
        decode_audio(with_value(WAV, 40, "<I", size), sampling_rate=RATE, max_seconds=1).samples,
        decode_audio(WAV, sampling_rate=RATE).samples,
    )


def test_a_piped_flac_is_read_to_its_end():
    np.testing.assert_array_equal(
        decode_audio(with_flac_total(FLAC, 0), sampling_rate=RATE, max_seconds=1).samples,
        decode_audio(FLAC, sampling_rate=RATE).samples,
    )
    assert reject_of(decode_audio, with_flac_total(FLAC, 0), max_seconds=0.9).reason == "over_limit"


def test_a_lying_header_decodes_nothing(monkeypatch):
    monkeypatch.setattr(soundfile.SoundFile, "read", lambda *_, **__: pytest.fail("decoded"))
    reject = reject_of(decode_audio, with_flac_total(FLAC, 2**36 - 1), max_seconds=60)
    assert (reject.reason, "68719476735" in reject.detail) == ("bad_audio", True)


@pytest.mark.parametrize(("rate", "channels", "seconds"), [(655_350, 1, 30), (48_000, 8, 30), (16_000, 1, 300)])
def test_memory_follows_the_result_not_the_source(rate, channels, seconds):
    """The first as float32 is 79 MB, of 66 kB; mono at 16 kHz, it is 1.9 MB."""
    data = encode(np.zeros((rate * seconds, channels), np.int16), rate, "FLAC")
    tracemalloc.start()
    try:
        samples = decode_audio(data, sampling_rate=RATE, max_seconds=600).samples
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(samples) == RATE * seconds
    # What the result's growth leaves over, a block in each of its forms, and what the container's counting takes.
    assert peak < 1.5 * samples.nbytes + len(data) + (4 << 20)


def test_values_of_all_channels_are_limited():
    """64 channels at 655,350 Hz hold 42 million values a second; a limit of 1 s is one of 384,000 values."""
    many = encode(np.zeros((12_000, 64), np.int16), 655_350)
    assert len(decode_audio(many, sampling_rate=RATE, max_seconds=2).samples) == 293
    reject = reject_of(decode_audio, many, max_seconds=1)
    assert reject.reason == "over_limit"
    assert "12000 samples in each of 64 channels" in reject.detail


def test_a_shortage_of_memory_is_no_reject(monkeypatch):
    """It is the machine's: on another, or later, the same clip is decoded."""

    def runs_out(self, *arguments, **options):
        raise MemoryError

    monkeypatch.setattr(soundfile.SoundFile, "read", runs_out)
    with pytest.raises(MemoryError):
        decode_audio(FLAC, sampling_rate=RATE)


def test_a_limit_equal_to_the_length_passes():
    for limit in (1, 1.0, float("inf")):
        assert len(decode_audio(WAV, sampling_rate=RATE, max_seconds=limit).samples) == RATE


def test_the_same_bytes_give_the_same_reject():
    assert len({reject_of(decode_audio, bytearray(b"no audio")).detail for _ in range(3)}) == 1


def gives_reject_or_finite(data):
    try:
        audio = decode_audio(data, sampling_rate=RATE, max_seconds=60)
    except Reject:
        return
    assert audio.samples.dtype == np.float32
    assert audio.samples.ndim == 1
    assert len(audio.samples)
    assert np.isfinite(audio.samples).all()


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(MAGICS), st.binary(max_size=400))
def test_random_bytes(magic, tail):
    gives_reject_or_finite(magic + tail)


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(VALID), st.data())
def test_damaged_files(valid, draw):
    data = bytearray(valid)
    for _ in range(draw.draw(st.integers(1, 4))):
        # Half of the changes fall on the header.
        position = draw.draw(st.integers(0, 99) | st.integers(0, len(data)))
        change = draw.draw(st.binary(min_size=1, max_size=8))
        data[position : position + draw.draw(st.sampled_from([0, len(change)]))] = change
    gives_reject_or_finite(bytes(data[: draw.draw(st.just(None) | st.integers(0, len(data)))]))


MEDIA = sorted((Path(__file__).parents[3] / "data" / "fuzz" / "media").iterdir())


@pytest.mark.parametrize("path", MEDIA, ids=lambda path: path.name)
def test_without_the_extra_a_file_names_it(path, monkeypatch):
    """Here or in an environment without PyAV; nothing is decoded first."""
    monkeypatch.setattr(files, "is_installed", lambda: False)
    data = path.read_bytes()
    if path.name == "ogg-flac":  # of 16 bits, which libsndfile decodes
        assert len(decode_audio(data, sampling_rate=RATE).samples)
        return
    detail = reject_of(decode_audio, data).detail
    assert detail.endswith("is decoded with the extra melbeam[media], which is not installed here")
