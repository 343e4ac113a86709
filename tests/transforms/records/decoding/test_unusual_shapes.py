"""Files that are whole and unusual: chunks and tags around the audio, open sizes, parts in another order."""

import struct

import numpy as np
import pytest

import helpers
from melbeam.transforms.records.decoding import decode_audio
from melbeam.transforms.records.rejects import Reject

RATE = 16000
NUM_SAMPLES = 8037  # an odd number, and no multiple of a frame
SAMPLES = (0.1 * np.random.default_rng(1).standard_normal(NUM_SAMPLES)).astype(np.float32)
VALUES = np.round(SAMPLES * 32767).astype("<i2")
PCM = VALUES.tobytes()
PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")


def chunk(name, content, order="<", *, is_padded=True):
    return name + struct.pack(f"{order}I", len(content)) + content + b"\0" * (len(content) % 2 and is_padded)


def riff(*chunks, name=b"RIFF", size=None):
    body = b"WAVE" + b"".join(chunks)
    return name + struct.pack("<I", len(body) if size is None else size) + body


def fmt(bits=16, *more):
    size = bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, size * RATE, size, bits) + b"".join(more))


def rf64(name, *behind, table=b""):
    sizes = struct.pack("<QQQI", 0, len(PCM), NUM_SAMPLES, len(table) // 12) + table
    parts = [chunk(b"ds64", sizes), fmt(), b"data\xff\xff\xff\xff", PCM, *behind]
    riff_size = 4 + sum(map(len, parts))
    parts[0] = chunk(b"ds64", struct.pack("<Q", riff_size) + sizes[8:])
    return riff(*parts, name=name, size=0xFFFFFFFF)


DATA, LIST = chunk(b"data", PCM), chunk(b"LIST", b"INFO" + chunk(b"ICMT", b"abc\0x"))
BYTES = chunk(b"data", (VALUES >> 8).astype(np.int8).view(np.uint8).__xor__(128).tobytes())
BYTES_UNPADDED = BYTES[:-1]
EXTENSIBLE = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, 4 * RATE, 4, 32, 22, 24, 4) + PCM_GUID
WAVS = {
    "an odd chunk without its filling": riff(chunk(b"note", b"odd", is_padded=False), fmt(), DATA),
    "bext in front": riff(chunk(b"bext", bytes(603)), fmt(), DATA),
    "bext behind": riff(fmt(), DATA, chunk(b"bext", bytes(603))),
    "bext behind without its filling": riff(fmt(), DATA, chunk(b"bext", bytes(603), is_padded=False)),
    "junk all around": riff(
        chunk(b"JUNK", bytes(27)), fmt(), chunk(b"junk", b"abc"), DATA, LIST, chunk(b"JUNK", b"x")
    ),
    "ID3 behind": riff(fmt(), DATA, chunk(b"id3 ", b"ID3\4\0\0\0\0\0\5hello")),
    "XMP behind": riff(fmt(), DATA, chunk(b"_PMX", b"<xmp></xmp>")),
    "markers": riff(
        fmt(), chunk(b"cue ", bytes(28)), DATA, chunk(b"smpl", bytes(36)), chunk(b"iXML", b"<BWFXML/>")
    ),
    "Pro Tools' chunks": riff(
        chunk(b"minf", bytes(16)), fmt(), chunk(b"regn", bytes(92)), DATA, chunk(b"umid", b"x")
    ),
    "Apple's filler": riff(fmt(), chunk(b"FLLR", bytes(4044)), DATA),
    "zeros behind": riff(fmt(), DATA) + bytes(512),
    "a fmt chunk of 18 bytes": riff(fmt(16, b"\0\0"), DATA),
    "RF64": rf64(b"RF64"),
    "BW64 with axml behind": rf64(b"BW64", chunk(b"axml", b"<a/>")),
    "RF64 with a table of sizes": rf64(b"RF64", table=b"axml" + struct.pack("<Q", 5)),
}


def extended(rate):
    exponent = rate.bit_length() - 1
    return struct.pack(">HQ", 16383 + exponent, rate << (63 - exponent))


def aifc(codec, bits, audio, *, is_audio_first=False):
    comm = chunk(b"COMM", struct.pack(">HIH", 1, NUM_SAMPLES, bits) + extended(RATE) + codec + b"\5codec", ">")
    ssnd = chunk(b"SSND", bytes(8) + audio, ">")
    parts = (
        [ssnd, comm, chunk(b"(c) ", b"me", ">")] if is_audio_first else [comm, chunk(b"ANNO", b"abc", ">"), ssnd]
    )
    body = b"AIFC" + chunk(b"FVER", b"\xa2\x80\x51\x40", ">") + b"".join(parts)
    return b"FORM" + struct.pack(">I", len(body)) + body


def caf(*chunks):
    desc = b"desc" + struct.pack(">Qd4sIIIII", 32, RATE, b"lpcm", 2, 2, 1, 1, 16)
    return b"caff\0\1\0\0" + desc + b"".join(chunks)


def caf_chunk(name, content, size=None):
    return name + struct.pack(">q", len(content) if size is None else size) + content


def au(size, note=b""):
    return (
        b".snd" + struct.pack(">IIIII", 24 + len(note), size, 3, RATE, 1) + note + VALUES.astype(">i2").tobytes()
    )


TEXT = caf_chunk(b"info", struct.pack(">I", 1) + b"a\0bc\0")
BIG = VALUES.astype(">i2").tobytes()
IN24 = (VALUES.astype(np.int32) << 8).astype(">i4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()
OTHERS = {
    **{
        f"AIFC of {codec}": aifc(codec, 16, audio)
        for codec, audio in ((b"sowt", PCM), (b"twos", BIG), (b"NONE", BIG))
    },
    "AIFC of in24": aifc(b"in24", 24, IN24),
    "AIFC of fl32": aifc(b"fl32", 32, (VALUES / 32768).astype(">f4").tobytes()),
    "AIFC of FL64": aifc(b"FL64", 64, (VALUES / 32768).astype(">f8").tobytes()),
    "AIFC with its audio first": aifc(b"sowt", 16, PCM, is_audio_first=True),
    "CAF with chunks in front": caf(caf_chunk(b"free", bytes(333)), TEXT, caf_chunk(b"data", bytes(4) + PCM)),
    "CAF with chunks behind": caf(caf_chunk(b"data", bytes(4) + PCM), TEXT, caf_chunk(b"uuid", bytes(20))),
    "CAF of open size": caf(TEXT, caf_chunk(b"data", bytes(4) + PCM, size=-1)),
    "AU of open size": au(0xFFFFFFFF),
    "AU with a note": au(2 * NUM_SAMPLES, b"a note\0\0"),
    "AU with a long note, of open size": au(0xFFFFFFFF, b"x" * 1001),
}


@pytest.mark.parametrize("name", [*WAVS, *OTHERS])
def test_16_bits_come_in_to_the_last_bit(name):
    data = (WAVS | OTHERS)[name]
    samples = decode_audio(data, sampling_rate=RATE, declared_rate=RATE).samples
    np.testing.assert_array_equal(samples, (VALUES / 32768).astype(np.float32))


@pytest.mark.parametrize("audio", [BYTES, BYTES_UNPADDED], ids=["padded", "not padded"])
@pytest.mark.parametrize("behind", [b"", LIST])
def test_an_odd_number_of_bytes(audio, behind):
    samples = decode_audio(riff(fmt(8), audio, behind), sampling_rate=RATE).samples
    np.testing.assert_array_equal(samples, ((VALUES >> 8) / 128).astype(np.float32))


def test_24_bits_in_32():
    values = np.round(SAMPLES * (2**23 - 1)).astype("<i4")
    data = riff(chunk(b"fmt ", EXTENSIBLE), chunk(b"data", (values << 8).tobytes()))
    np.testing.assert_array_equal(
        decode_audio(data, sampling_rate=RATE).samples, (values / 2**23).astype(np.float32)
    )


def seven_bits(size):
    return bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127])


def id3(size=300, version=4, flags=0, fill=b"\0"):
    body = (b"TIT2" + seven_bits(6) + b"\0\0\3hello").ljust(size, fill)
    footer = b"3DI" + bytes([version, 0, flags]) + seven_bits(size) if flags & 0x10 else b""
    return b"ID3" + bytes([version, 0, flags]) + seven_bits(size) + body + footer


def ape(size=40, *, has_header=False):
    def ends(flags):
        return b"APETAGEX" + struct.pack("<IIII8x", 2000, size + 32, 1, flags)

    head = ends(0xA0000000) if has_header else b""
    return head + b"x" * size + ends(0x80000000 if has_header else 0)


LYRICS = b"LYRICSBEGININD0000210"
LYRICS += b"%06d" % len(LYRICS) + b"LYRICS200"
ID3V1 = b"TAG" + bytes(125)
IN_FRONT = {
    "ID3": id3(),
    "ID3 with a footer": id3(flags=0x10),
    "ID3 of bytes that are no frames'": id3(600, 3, 0x80, b"\xff"),
    "ID3 of 70 kB": id3(70_000),
    "ID3v2.2": id3(version=2),
    "two ID3 tags": id3() + id3(50),
}
BEHIND = {
    "APE": ape(),
    "APE with a header": ape(has_header=True),
    "ID3v1": ID3V1,
    "ID3v1, enhanced": b"TAG+" + bytes(223) + ID3V1,
    "Lyrics3 and ID3v1": LYRICS + ID3V1,
    "APE, Lyrics3 and ID3v1": ape(has_header=True) + LYRICS + ID3V1,
    "Lyrics3, APE and ID3v1": LYRICS + ape() + ID3V1,
    "ID3 with a footer": id3(flags=0x10),
}


@pytest.mark.parametrize("kind", ["MP3", "FLAC", "WAV"])
def test_tags_around_a_file(kind):
    data = helpers.encode(SAMPLES, RATE, kind)
    whole = decode_audio(data, sampling_rate=RATE).samples
    for what, tag in IN_FRONT.items():
        np.testing.assert_array_equal(decode_audio(tag + data, sampling_rate=RATE).samples, whole, what)
    for what, tag in BEHIND.items():
        np.testing.assert_array_equal(decode_audio(data + tag, sampling_rate=RATE).samples, whole, what)


@pytest.mark.parametrize(
    ("muxer", "encoder", "rate"), [("adts", "aac", RATE), ("ac3", "ac3", 48000), ("eac3", "eac3", 48000)]
)
def test_tags_around_a_stream_of_frames(muxer, encoder, rate):
    """FFmpeg takes a tag for a damaged frame, and with the flag of a footer passes over a frame that is whole."""
    data = made(muxer, encoder, rate)
    whole = decode_audio(data, sampling_rate=rate).samples
    for front, behind in ((id3(), b""), (b"", ID3V1), (id3(flags=0x10), ape() + ID3V1), (id3() + id3(50), ape())):
        np.testing.assert_array_equal(decode_audio(front + data + behind, sampling_rate=rate).samples, whole)
    without_footer = bytearray(id3())
    without_footer[5] = 0x10
    with pytest.raises(Reject):
        decode_audio(bytes(without_footer) + data, sampling_rate=rate)


@pytest.mark.parametrize(
    ("muxer", "encoder", "rate", "other", "told"),
    [
        ("adts", "aac", RATE, ("adts", "aac", 44100), "AAC of 16000 Hz becomes AAC of 44100 Hz"),
        ("ac3", "ac3", 48000, ("eac3", "eac3", 48000), "AC-3 of 48000 Hz becomes E-AC-3 of 48000 Hz"),
    ],
)
def test_unlike_streams_behind_each_other_are_told(muxer, encoder, rate, other, told):
    data = made(muxer, encoder, rate)
    with pytest.raises(Reject, match=f"{told} at byte {len(data)}"):
        length(data + made(*other))
    with pytest.raises(Reject, match=f"tags at byte {len(data)}, between frames: two files"):
        length(data + id3() + data)


def test_a_flac_with_much_in_front_of_its_frames():
    data = helpers.encode(SAMPLES, RATE, "FLAC")
    first = 4 + 4 + int.from_bytes(data[5:8], "big")  # behind STREAMINFO
    for kind, content in ((1, bytes(1 << 20)), (2, b"abcd" + bytes(1000)), (3, (b"\xff" * 8 + bytes(10)) * 40)):
        block = bytes([kind]) + len(content).to_bytes(3, "big") + content  # filling, a program's, for seeking
        larger = data[:4] + bytes([data[4] & 0x7F]) + data[5:first] + block + data[first:]
        assert len(decode_audio(larger, sampling_rate=RATE).samples) == NUM_SAMPLES, kind


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_chained_ogg(subtype):
    data = helpers.encode(SAMPLES, RATE, "OGG", subtype)
    single = len(decode_audio(data, sampling_rate=RATE).samples)
    assert abs(single - NUM_SAMPLES) <= 1
    assert len(decode_audio(data * 3, sampling_rate=RATE).samples) == 3 * single


def made(muxer, encoder, rate=RATE, **options):
    pytest.importorskip("av", reason="the extra media is not installed")
    return helpers.encode_with_libav(SAMPLES, rate, muxer, encoder, **options)


def length(data, rate=RATE):
    return len(decode_audio(data, sampling_rate=rate).samples)


def test_boxes_of_an_m4a_in_another_order():
    data = made("ipod", "alac")
    free, skip = b"\0\0\0\x20free" + bytes(24), b"\0\0\0\x10skip" + bytes(8)
    at = data.find(b"moov") - 4
    assert data.find(b"mdat") < at
    for other in (data, data[:at] + free + data[at:], data + free + skip):
        assert length(other) == NUM_SAMPLES
    early = made("mp4", "alac", movflags="faststart")
    media = early.find(b"mdat") - 4
    assert early.find(b"moov") < media
    assert length(early) == NUM_SAMPLES
    assert length(early[:media] + bytes(4) + early[media + 4 :]) == NUM_SAMPLES  # until the end


@pytest.mark.parametrize(
    "flags",
    [
        "frag_every_frame",  # the first frames are in the movie's own tables
        "frag_keyframe+separate_moof",
        "empty_moov+omit_tfhd_offset",
        "empty_moov+default_base_moof",
        "frag_keyframe+delay_moov",  # which has an edit list
        "cmaf+global_sidx",
        "dash+skip_sidx",
        "dash+delay_moov",
    ],
)
@pytest.mark.parametrize("encoder", ["alac", "aac"])
def test_fragments_of_an_mp4(flags, encoder):
    data = made("mp4", encoder, movflags=flags, frag_duration="100000")
    assert b"moof" in data
    # Without an edit list, the encoder's delay stays.
    delay = 0 if encoder == "alac" or "delay_moov" in flags else 1024
    assert length(data) == NUM_SAMPLES + delay


@pytest.mark.parametrize(
    "options",
    [
        {"cues_to_front": "1"},
        {"reserve_index_space": "1000"},
        {"live": "1"},
        {"cluster_time_limit": "100"},
        {"write_crc32": "0"},
        {"dash": "1", "dash_track_number": "1"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_matroska(options):
    assert length(made("matroska", "flac", **options)) == NUM_SAMPLES
    # Opus is of 48 kHz: the samples are taken as such.
    assert length(made("webm", "libopus", 48000, **options), 48000) == NUM_SAMPLES


@pytest.mark.parametrize(
    ("muxer", "encoder", "rate"),
    [("ipod", "alac", 96000), ("mov", "alac", 192_000), ("mp4", "flac", 88200), ("mov", "pcm_s16le", 96000)],
)
def test_rates_that_have_no_room_in_a_sample_description(muxer, encoder, rate):
    """It has 16 bits for them; writers leave 0 there, halve the rate, or use QuickTime's version 2."""
    audio = decode_audio(made(muxer, encoder, rate), sampling_rate=rate, declared_rate=rate)
    assert len(audio.samples) == NUM_SAMPLES
