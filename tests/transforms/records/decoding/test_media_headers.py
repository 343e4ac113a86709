"""Headers of what PyAV decodes, damaged byte by byte: the clip stays the same, or it is refused."""

import re
import struct

import numpy as np
import pytest

import helpers
from melbeam.transforms.records.decoding import libav
from melbeam.transforms.records.decoding.audio import DecoderError, Request
from melbeam.transforms.records.decoding.media import media_of
from melbeam.transforms.records.rejects import Reject

av = pytest.importorskip("av", reason="the extra media is not installed")

RATE = 16000


def noise(rate, seconds=0.5):
    return (0.1 * np.random.default_rng(3).standard_normal(round(rate * seconds))).astype(np.float32)


def made(muxer, encoder, rate=RATE, seconds=0.5, **options):
    if encoder not in av.codecs_available:
        pytest.skip(f"this PyAV has no encoder {encoder}: 18 has, 19 has not")
    return helpers.encode_with_libav(noise(rate, seconds), rate, muxer, encoder, **options)


def decoded(data):
    """Samples, Hz and channels, or None for a reject; in this process, which is faster."""
    try:
        media = media_of(data)
        if media is None:
            return None
        audio = libav.decode(data, media, Request(RATE, channel="each"))
    except (Reject, DecoderError):
        return None
    return audio.samples.shape[0], audio.source_rate, audio.samples.shape[1]


def with_other_bytes(data, start, end):
    """Each byte with each of its bits flipped, cleared, and set."""
    for at in range(start, end):
        for other in ({data[at] ^ 1 << bit for bit in range(8)} | {0, 0xFF}) - {data[at]}:
            yield (
                f"byte {at - start} is {other:#x}, not {data[at]:#x}",
                data[:at] + bytes([other]) + data[at + 1 :],
            )


def wrong_ones(data, start, end):
    right = decoded(data)
    assert right
    found = {what: decoded(damaged) for what, damaged in with_other_bytes(data, start, end)}
    return {what: each for what, each in found.items() if each not in (None, right)}


def box(data, name):
    """The first byte and the end of a box of an MP4."""
    at = data.find(name) - 4
    return at, at + int.from_bytes(data[at : at + 4], "big")


@pytest.mark.parametrize("encoder", ["aac", "alac"])
def test_the_codec_that_an_m4a_describes(encoder):
    """FFmpeg gives mono AAC as stereo where esds is damaged, and ALAC at any rate that its own header says."""
    data = made("ipod", encoder)
    wrong = wrong_ones(data, *box(data, b"stsd"))
    # A layout of AAC with more channels than are there is one that it might have: they are silent.
    assert {each[:2] for each in wrong.values()} <= {decoded(data)[:2]}
    assert {each[2] for each in wrong.values()} <= ({3, 5} if encoder == "aac" else set())


def test_the_beginning_of_an_edit():
    data = made("ipod", "aac", 44100)
    at = box(data, b"elst")[0] + 20  # behind size, name, flags, the number of edits and the length of the first
    assert data[at : at + 4] == struct.pack(">i", 1024)
    right, wrong = decoded(data), wrong_ones(data, at, at + 4)
    # The edit's length is of milliseconds, within which an edit that begins at 0 shows as much of the track.
    assert all(what == "byte 2 is 0x0, not 0x4" and abs(each[0] - right[0]) <= 16 for what, each in wrong.items())


@pytest.mark.parametrize("name", [b"edts", b"elst"])
def test_a_cleared_byte_of_a_name_that_counts(name):
    data = made("ipod", "aac")
    at = box(data, name)[0] + 4
    assert not wrong_ones(data, at, at + 4)


def test_the_index_of_a_fragmented_file_knows_the_last_frame_and_all_fragments():
    # FFmpeg's own, with sidx in front and mfra behind.
    data = made("mp4", "aac", seconds=1.5, movflags="dash", frag_duration="300000")
    last_trun = data.rfind(b"trun")
    # Version, flags, the number of rows, where they are; of each a length and a size.
    last_row = last_trun + 16 + 8 * (struct.unpack_from(">I", data, last_trun + 8)[0] - 1)
    assert 0 < int.from_bytes(data[last_row : last_row + 4], "big") <= 1024
    assert not wrong_ones(data, last_row, last_row + 4)
    last = data.rfind(b"moof") - 4
    mfra, _ = box(data, b"mfra")
    with pytest.raises(Reject, match="index"):
        media_of(data[:last] + data[mfra:])


def test_the_movie_knows_how_long_its_fragments_are():
    """GStreamer and others write mehd; FFmpeg does not, so it is put in here."""
    data = made("mp4", "aac", seconds=1.5, movflags="frag_keyframe+empty_moov", frag_duration="300000")
    header, _ = box(data, b"mvhd")
    (scale,) = struct.unpack_from(">I", data, header + 20)  # behind size, name, version and two times
    mehd = b"\0\0\0\x10mehd\0\0\0\0" + struct.pack(">I", round(scale * media_of(data).seconds))
    mvex, _ = box(data, b"mvex")
    larger = bytearray(data[: mvex + 8] + mehd + data[mvex + 8 :])
    for name in (b"moov", b"mvex"):
        at = box(bytes(larger), name)[0]
        struct.pack_into(">I", larger, at, int.from_bytes(larger[at : at + 4], "big") + len(mehd))
    whole = bytes(larger[: box(bytes(larger), b"mfra")[0]])
    assert media_of(whole).seconds == media_of(data).seconds
    with pytest.raises(Reject, match=r"its fragments come to .* s, its movie says 1\.5"):
        media_of(whole[: whole.rfind(b"moof") - 4])


def test_an_empty_box_at_the_end_of_a_file_is_refused():
    data = made("mp4", "aac", movflags="frag_keyframe+empty_moov")
    start, end = box(data, b"tfhd")
    inside = data[start:end] + b"\0\0\0\x08tfdt"
    traf = struct.pack(">I4s", 8 + len(inside), b"traf") + inside
    with pytest.raises(Reject, match="a header of 0 bytes"):
        media_of(data[: box(data, b"moof")[0]] + struct.pack(">I4s", 8 + len(traf), b"moof") + traf)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"live": "1"}])
def test_opus_in_webm_is_counted_to_the_sample(options):
    """FFmpeg's muxer gives what is in front of the clusters a checksum, without which it is tried here."""
    data = made("webm", "libopus", 48000, 0.41, **options)
    assert decoded(data) == (round(0.41 * RATE), 48000, 1)
    tracks = data.find(b"\x16\x54\xae\x6b")
    cluster = data.find(b"\x1f\x43\xb6\x75")
    unsealed = data[:tracks] + data[tracks:cluster].replace(b"\xbf\x84", b"\xec\x84", 1) + data[cluster:]
    assert decoded(unsealed) == decoded(data)
    wrong = wrong_ones(unsealed, tracks, cluster)
    # What the codec's header and the track say is left out in front differs by a sample where bits of ns do.
    assert all(abs(each[0] - decoded(data)[0]) <= 1 for each in wrong.values()), wrong


def test_a_number_of_a_webm_track_has_8_bytes_at_most():
    data = made("webm", "libopus", 48000, live="1")
    tracks, at = data.find(b"\x16\x54\xae\x6b"), data.find(b"\x56\xaa")
    size = data[at + 2] & 0x7F
    assert tracks < at
    # In the place of the delay and what follows it, as long as they were, so that all other sizes hold.
    end = at + 3 + size
    end += 3 + (data[end + 2] & 0x7F)
    longer = data[: at + 2] + bytes([0x80 | end - at - 3]) + b"\1" * (end - at - 3) + data[end:]
    with pytest.raises(Reject, match="an element 0x56aa of "):
        media_of(longer.replace(b"\xbf\x84", b"\xec\x84", 2))


def test_the_heads_of_blocks_of_webm():
    data = made("webm", "libopus", 48000, 0.41, live="1")
    right, wrong = decoded(data), {}
    at = data.find(b"\x1f\x43\xb6\x75")
    heads = []
    while (at := data.find(b"\xa3", at + 1)) >= 0:
        if data[at + 1] & 0xC0 == 0x40 and data[at + 3] == 0x81:  # SimpleBlock, two bytes of size, track 1
            heads.append(at + 3)
    for at in (heads[0], heads[9], heads[-1]):
        wrong |= wrong_ones(data, at, at + 5)
    # A first packet of another length moves nothing: its end is where the second begins.
    assert {each[0] - right[0] for each in wrong.values()} <= {0}, wrong


def test_a_live_webm_ends_with_what_its_last_block_leaves_out():
    data = made("webm", "libopus", 48000, 0.41, live="1")
    at = data.rfind(b"\x75\xa2")
    assert at > 0
    right, wrong = decoded(data), wrong_ones(data, at, at + 3 + (data[at + 2] & 0x7F))
    # A live recording states no duration, so that within a packet this is taken on its word.
    assert all(abs(each[0] - right[0]) <= 0.02 * RATE for each in wrong.values())
    # Where it is stated, a bit that moves the end by more than that may be off is told.
    data = made("webm", "libopus", 48000, 0.41)
    at = data.rfind(b"\x75\xa2")
    right, wrong = decoded(data), wrong_ones(data, at, at + 3 + (data[at + 2] & 0x7F))
    flipped = {what: each for what, each in wrong.items() if "is 0x0" not in what and "is 0xff" not in what}
    assert all(abs(each[0] - right[0]) <= 0.005 * RATE for each in flipped.values()), flipped


def test_the_last_packet_of_a_webm_is_as_long_as_its_duration_says():
    """The first byte of a packet of Opus says how long it is, and behind the last one no time does."""
    data = made("webm", "libopus", 48000, 0.41)
    block = rb"\xa1(?:[\x81-\xfe]|[\x40-\x7f].)\x81..\x00"  # in a group, of track 1; its time and flags
    start = list(re.finditer(block, data, re.DOTALL))[-1].end()
    right, wrong = decoded(data), wrong_ones(data, start, start + 1)
    assert right[0] == round(0.41 * RATE)
    assert not wrong
    with pytest.raises(Reject, match=r"the last packet, at byte \d+, has 0\.\d+ s, all others 0\.0200 s"):
        media_of(data[:start] + bytes([data[start] ^ 8]) + data[start + 1 :])


def test_the_rate_and_channels_of_wma():
    data = made("asf", "wmav2")
    at = data.find(bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")) + 54  # of the WAVEFORMATEX
    assert struct.unpack_from("<HHI", data, at) == (0x161, 1, RATE)
    assert not wrong_ones(data, at, at + 8)


@pytest.mark.parametrize(
    ("muxer", "encoder", "rate"),
    [("adts", "aac", 16000), ("ac3", "ac3", 48000), ("amr", "libopencore_amrnb", 8000)],
)
def test_whole_frames_of_a_stream_without_a_container_carry_no_number(muxer, encoder, rate):
    """One that is taken out makes a shorter clip, and two that are swapped one as long: nothing tells either."""
    data = made(muxer, encoder, rate)
    seconds = media_of(data).seconds
    starts = [start for start in range(len(data)) if _is_frame(data, start)]
    starts = starts[-4:-1]
    one, two = data[starts[0] : starts[1]], data[starts[1] : starts[2]]
    swapped = data[: starts[0]] + two + one + data[starts[2] :]
    assert media_of(swapped).seconds == seconds
    frame = seconds - media_of(data[: starts[0]] + data[starts[1] :]).seconds
    assert 0 < frame <= 0.07


def _is_frame(data, start):
    """Whether a chain of frames goes on to the end from here."""
    try:
        head = data[:6] if data.startswith(b"#!AMR") else b""
        return start >= len(head) and media_of(head + data[start:]) is not None
    except Reject:
        return False
