"""For each format: flipped bits, cuts, joins, padding. A file comes in with its own length, or not at all."""

import making
import pytest
import soundfile

from melbeam.transforms.records.containers import inspect

FLIPS, CUTS = 300, 20
SECONDS = 0.5
REFUSED = ("IRCAM", "MAT4", "MAT5", "PAF", "PVF", "SDS", "XI")
UNRECOGNISABLE = ("RAW", "SD2")
BLOCK_CODECS = ("ADPCM", "GSM", "G72")
CODED = ("VORBIS", "OPUS", "MPEG_LAYER_III", "ALAC_16", "IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32", "G723_40")
KINDS = [
    (kind, subtype, channels)
    for kind in soundfile.available_formats()
    if kind not in (*REFUSED, *UNRECOGNISABLE)
    for subtype in soundfile.available_subtypes(kind)
    if subtype in ("PCM_16", "FLOAT", "ULAW", "ALAW", *CODED)
    for channels in (1, 2)
]


def made(kind, subtype, channels):
    rate = 8000
    samples = making.noise(SECONDS, rate, channels)
    try:
        return making.encode(samples, rate, kind, subtype)
    except (soundfile.SoundFileError, TypeError, ValueError):
        pytest.skip(f"libsndfile does not write {channels} channels of it")


def check_table(data, tolerance, has_no_count=False):
    """Every damaged one comes in with its own length, within `tolerance` samples, or is turned away."""
    whole = making.length(data)
    assert whole
    wrong = []

    def check(what, changed, *lengths):
        found = making.length(changed)
        if found is not None and all(abs(found - right) > tolerance for right in lengths):
            wrong.append((what, found))

    for i in range(FLIPS):
        bit = i * (8 * len(data) - 1) // (FLIPS - 1)
        check(f"bit {bit}", making.flipped(data, bit), whole)
    for i in range(CUTS):
        # One byte from a place that may lie between two frames, where nothing in the file tells a cut.
        size = len(data) * (i + 1) // (CUTS + 1) + has_no_count
        check(f"cut at {size}", data[:size], whole)
    check("joined", data + data, 2 * whole)
    for padding in (b"\0", bytes(6), bytes(215), bytes(4096), b"junk", b"ID3\3\0\0\0\0\1\0" + bytes(128 + 6)):
        check(f"behind {padding[:4]} * {len(padding)}", padding + data, whole)
    for padding in (b"\0", bytes(100), b"TAG" + bytes(125), b"x" * 10, data[-300:]):
        check(f"in front of {padding[:4]} * {len(padding)}", data + padding, whole)
    assert not wrong


@pytest.mark.parametrize(("kind", "subtype", "channels"), KINDS)
def test_libsndfile(kind, subtype, channels):
    # MP3: one frame. Block codecs: one block, of which one place alone says how much is audio.
    # VOC: libsndfile counts the byte that ends the file as a sample.
    tolerance = {"MP3": 576, "VOC": 1}.get(kind, 1020 if any(codec in subtype for codec in BLOCK_CODECS) else 0)
    check_table(made(kind, subtype, channels), tolerance)


@pytest.mark.parametrize("name", making.other_encoders())
def test_other_encoders(name):
    coded = {".mp3": 1152, ".mp2": 1152, ".wav": 1020, ".w64": 2040}
    tolerance = next((samples for suffix, samples in coded.items() if name.endswith(suffix)), 0)
    check_table(making.read(name), tolerance, has_no_count=name in ("lame-no-info.mp3", "twolame.mp2"))


@pytest.mark.parametrize("name", making.other_encoders())
def test_other_encoders_come_in_whole(name):
    contents = inspect(making.read(name))
    seconds = 1.0 if name.startswith(("lame", "twolame", "opus", "ogg", "speex")) else 0.4
    if name in ("ffmpeg.mp3", "ffmpeg.opus", "ffmpeg-vorbis.ogg"):
        seconds = 1.0
    wanted = round(seconds * contents.sampling_rate)
    # Without a first frame that says how much of it is filling, an encoder's delay and its last frame stay; ffmpeg
    # says of the filling of its last block of IMA ADPCM that it is audio.
    filling = {
        "lame-no-info.mp3": 576 + 576,
        "twolame.mp2": 1152,
        "ffmpeg-ima.w64": 2041,
        "speexenc.spx": 320,
    }.get(name, 0)
    assert wanted <= contents.num_samples <= wanted + filling
    if contents.parts is None:
        assert contents.format == "Ogg Speex"
    else:
        assert len(making.decode(contents)) == pytest.approx(contents.num_samples, abs=contents.tolerance)
