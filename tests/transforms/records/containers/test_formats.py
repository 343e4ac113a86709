"""Every format that libsndfile takes is counted or refused by name; others are named."""

import struct

import making
import numpy as np
import pytest
import soundfile

from melbeam.transforms.records.containers import inspect, name_of
from melbeam.transforms.records.containers.formats import FORMATS, MPEG, UNRECOGNISABLE

KNOWN = [name for format in (*FORMATS, MPEG) for name in format.libsndfile]
REFUSED = {"IRCAM": "IRCAM SF", "MAT4": "MATLAB", "MAT5": "MATLAB", "PAF": "PARIS", "PVF": "Portable Voice"}
REFUSED |= {"SDS": "MIDI Sample Dump", "XI": "FastTracker"}
LOSSLESS = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")


def test_no_format_of_libsndfile_is_forgotten():
    """Where this fails, libsndfile reads a format more: count what it holds, or refuse it by name."""
    assert set(soundfile.available_formats()) <= {*KNOWN, *UNRECOGNISABLE}


def files():
    """(kind, subtype, channels, endian) of all that libsndfile writes."""
    for kind in soundfile.available_formats():
        if kind in UNRECOGNISABLE:
            continue
        for subtype in soundfile.available_subtypes(kind):
            for channels in (1, 2):
                for endian in ("FILE", "LITTLE", "BIG"):
                    yield kind, subtype, channels, endian


def test_what_libsndfile_writes_comes_in_as_it_reads_it_or_is_refused():
    checked = set()
    for kind, subtype, channels, endian in files():
        samples = making.noise(0.21, 8000, channels)
        try:
            data = making.encode(samples, 8000, kind, subtype, endian=endian)
            expected, _ = soundfile.read(making.io.BytesIO(data), dtype="float64", always_2d=True)
        except (soundfile.SoundFileError, TypeError, ValueError):
            continue  # libsndfile does not write it, or not read what it wrote (DWVW of 16 bits)
        checked.add((kind, subtype))
        if kind in REFUSED:
            assert REFUSED[kind] in making.reject_of(data)
            assert "convert it to WAV or FLAC" in making.reject_of(data)
            continue
        contents = inspect(data)
        assert (contents.sampling_rate, contents.num_channels) == (8000, channels), (kind, subtype)
        found = making.decode(contents)
        np.testing.assert_array_equal(found, expected[: len(found)], err_msg=f"{kind} {subtype} {endian}")
        if subtype in LOSSLESS:
            assert len(found) == len(samples), (kind, subtype, channels, endian)
        else:
            assert len(samples) <= len(found) + 576, (kind, subtype, channels)
    assert len(checked) > 80


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("M4A or MP4", b"\0\0\0\x20ftypM4A " + bytes(50)),
        ("WebM or Matroska", b"\x1a\x45\xdf\xa3" + bytes(50)),
        ("AMR", b"#!AMR\n" + bytes(50)),
        ("AMR", b"#!AMR-WB\n" + bytes(50)),
        ("WMA", bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(50)),
        ("AAC", b"\xff\xf1\x50\x80" + bytes(50)),
        ("AC-3", b"\x0b\x77" + bytes(50)),
        ("a pointer of Git LFS, not the file", b"version https://git-lfs.github.com/spec/v1\noid sha256:1"),
        ("HTML", b"<!DOCTYPE html><html>404"),
        (None, b""),
        (None, b"no audio"),
        (None, np.random.default_rng(1).bytes(100_000)),
    ],
)
def test_formats_that_libsndfile_does_not_take(name, data):
    assert inspect(data) is None
    assert name_of(data) == name


def test_names():
    for kind, name in (("WAV", "WAV"), ("W64", "WAV"), ("MP3", "MP3"), ("OGG", "Ogg"), ("NIST", "SPHERE")):
        assert name_of(making.encode(making.noise(0.2), kind=kind)) == name


@pytest.mark.parametrize("kind", ["AIFF", "AU", "AVR", "CAF", "HTK", "MPC2K", "NIST", "SVX", "VOC", "W64", "WVE"])
def test_cut_in_half(kind):
    data = making.encode(making.noise(1, 8000), 8000, kind, "ALAW" if kind == "WVE" else "PCM_16")
    half = data[: len(data) // 2]
    if kind == "HTK":  # its header is known by the length alone
        assert inspect(half) is None
    else:
        assert "cut" in making.reject_of(half)


def test_sizes_that_were_never_filled_in():
    samples = making.noise(1)
    au = making.encode(samples, kind="AU", subtype="PCM_16")
    aiff = making.encode(samples, kind="AIFF", subtype="PCM_16")
    caf = making.encode(samples, kind="CAF", subtype="PCM_16")
    at, comm, data = aiff.find(b"SSND"), aiff.find(b"COMM"), caf.find(b"data")
    for file in (
        making.with_value(au, 8, ">I", 0xFFFFFFFF),
        making.with_value(au, 8, ">I", 0),
        making.with_value(making.with_value(aiff, at + 4, ">I", 0), comm + 10, ">I", 0),
        making.with_value(making.with_value(aiff, at + 4, ">I", 0x7F000008), comm + 10, ">I", 0x3F800000),
        making.with_value(caf, data + 4, ">q", -1),
    ):
        assert len(making.decode(inspect(file))) == making.RATE


def test_sphere_that_is_compressed():
    data = making.read("sox.sph").replace(
        b"sample_coding -s3 pcm", b"sample_coding -s26 pcm,embedded-shorten-v2.00"
    )
    assert "sph2pipe" in making.reject_of(data)


def test_voc_of_several_blocks():
    """Audio that goes on in blocks of its own, and text between them."""
    audio = making.noise(0.5, 8000)
    values = np.rint(audio * 127 + 128).astype(np.uint8).tobytes()

    def block(kind, content):
        return bytes([kind]) + struct.pack("<I", len(content))[:3] + content

    head = b"Creative Voice File\x1a" + struct.pack("<HHH", 26, 0x010A, 0x1129)
    first = block(1, bytes([256 - 125, 0]) + values[:1000])
    data = head + first + block(5, b"text\0") + block(2, values[1000:]) + b"\0"
    contents = inspect(data)
    assert (contents.sampling_rate, contents.num_samples) == (8000, 4000)
    np.testing.assert_array_equal(making.decode(contents)[:, 0], (np.frombuffer(values, np.uint8) - 128.0) / 128)
    assert "no block says that it is the last" in making.reject_of(data[:-1])
    assert "kind 3" in making.reject_of(head + first + block(3, b"\1\2\3") + b"\0")
