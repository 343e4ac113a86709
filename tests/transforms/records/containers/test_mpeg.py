"""MP3: every frame is counted, whatever the first one says, and what is not there is told."""

import struct

import making
import numpy as np
import pytest

from melbeam.transforms.records.containers import inspect

FRAME = 576  # samples, at 16 kHz
DELAY = 529  # samples of the decoder, left out behind a header with a count
TAG = b"ID3\3\0\0\0\0\1\0" + bytes(128)
WITH_INFO = making.mp3()
WITHOUT = making.without_info(WITH_INFO)
FRAMES = making.mp3_frames(WITHOUT)
# Frames of 288 bytes, of which a bit makes one of 128 kbit/s, and 576.
OF_64_KBPS = (FRAMES[0][:2] + bytes([0x80 | FRAMES[0][2] & 0x0C]) + FRAMES[0][3:4] + b"\x55" * 284) * 20
ALL = len(FRAMES) * FRAME - DELAY


def info_at(data):
    return max(data.find(b"Xing"), data.find(b"Info"))


def with_count(count, data=WITH_INFO):
    return making.with_value(data, info_at(data) + 8, ">I", count)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("mode", ["CONSTANT", "AVERAGE", "VARIABLE"])
def test_a_file_with_its_count_is_exact(rate, channels, mode):
    data = making.mp3(0.5, rate, channels, mode)
    contents = inspect(data)
    assert (contents.format, contents.sampling_rate, contents.num_channels) == ("MP3", rate, channels)
    assert (contents.num_samples, contents.tolerance) == (rate // 2, 0)
    assert contents.parts[0].data is data
    assert len(making.decode(contents)) == rate // 2


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_file_without_a_count_is_read_to_its_end(rate):
    samples = np.concatenate([3 * making.noise(1, rate), 0.001 * making.noise(4, rate)])
    data = making.without_info(
        making.encode(samples, rate, "MP3", "MPEG_LAYER_III", bitrate_mode="VARIABLE", compression_level=0.5)
    )
    frame = FRAME if rate == 16000 else 1152
    contents = inspect(data)
    assert contents.num_samples == len(making.mp3_frames(data)) * frame - DELAY
    assert contents.tolerance == frame
    assert len(making.decode(contents)) == contents.num_samples


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a tag", TAG + WITHOUT),
        ("two tags", TAG + TAG + WITHOUT),
        ("a tag and zeros", TAG + bytes(6) + WITHOUT),
        ("zeros", bytes(5000) + WITHOUT),
        ("the rest of a frame", FRAMES[0][50:] + WITHOUT),
        ("an ID3v1 tag behind", WITHOUT + b"TAG" + bytes(125)),
        ("an APE tag behind", WITHOUT + b"x" * 40 + b"APETAGEX" + struct.pack("<IIII8x", 2000, 72, 1, 0)),
        ("zeros behind", WITHOUT + bytes(2048)),
    ],
)
def test_what_is_around_the_frames(name, data):
    contents = inspect(data)
    assert contents.num_samples == ALL, name
    assert len(making.decode(contents)) == ALL


def test_a_stream_that_begins_inside_a_frame_has_the_frames_behind():
    contents = inspect(WITHOUT[50:])
    assert contents.num_samples == ALL - FRAME
    assert len(making.decode(contents)) == ALL - FRAME


def test_the_samples_do_not_depend_on_what_is_in_front():
    expected = making.decode(inspect(WITHOUT))
    for data in (TAG + bytes(6) + WITHOUT, bytes(100) + WITHOUT, WITHOUT + b"TAG" + bytes(125)):
        np.testing.assert_array_equal(making.decode(inspect(data)), expected)


@pytest.mark.parametrize("count", [0, 1, len(FRAMES) - 1])
def test_a_count_that_is_too_small_does_not_cut(count):
    contents = inspect(with_count(count))
    assert contents.num_samples == making.RATE  # the bytes say that all is there, so that the filling is known
    assert len(making.decode(contents)) == making.RATE
    assert str(count) in contents.remark or not count


@pytest.mark.parametrize("frames_lost", [1, 2, len(FRAMES) - 1])
def test_fewer_frames_than_promised(frames_lost):
    data = WITH_INFO[: len(WITH_INFO) - sum(map(len, FRAMES[-frames_lost:]))]
    detail = making.reject_of(data)
    assert "a cut MP3" in detail
    assert f"promises {len(FRAMES)} frames, {len(FRAMES) - frames_lost} are there" in detail
    assert inspect(data, cut_tolerance_seconds=frames_lost * FRAME / making.RATE).cut_tolerated
    assert making.reject_of(data, cut_tolerance_seconds=(frames_lost * FRAME - 1) / making.RATE) == detail


@pytest.mark.parametrize("more", [1, 2, 3])
def test_all_bytes_are_there_but_fewer_frames(more):
    """One less is the way that some encoders count; several less are a frame that a flipped bit made longer."""
    data = with_count(len(FRAMES) + more)
    if more == 1:
        assert inspect(data).num_samples == making.RATE
    else:
        detail = making.reject_of(data)
        assert f"a damaged MP3: its Xing header promises {len(FRAMES) + more} frames in" in detail


def test_a_last_frame_that_is_cut():
    detail = making.reject_of(WITHOUT[:-10])
    size = len(FRAMES[-1])
    assert detail.endswith(f"promises {size} bytes, {size - 10} are there")
    contents = inspect(WITHOUT[:-10], cut_tolerance_seconds=0.1)
    assert (contents.num_samples, contents.cut_tolerated) == (ALL - FRAME, True)


def test_joined_files_are_whole():
    """Each with a header of its own is trimmed as it says; without one, the frames follow each other."""
    other = making.mp3(0.5)
    for data, wanted in (
        (WITH_INFO + other, making.RATE * 3 // 2),
        (WITH_INFO + TAG + other, making.RATE * 3 // 2),
        (WITH_INFO + b"TAG" + bytes(125) + other, making.RATE * 3 // 2),
        (WITHOUT + other, ALL + making.RATE // 2),
        (WITHOUT + WITHOUT, 2 * len(FRAMES) * FRAME - DELAY),
        (WITH_INFO * 40, making.RATE * 40),
    ):
        contents = inspect(data)
        assert contents.num_samples == wanted
        assert len(making.decode(contents)) == wanted


@pytest.mark.parametrize(("rate", "channels"), [(24000, 1), (44100, 1), (16000, 2)])
def test_a_change_of_rate_or_channels_is_told(rate, channels):
    for other in (making.mp3(0.5, rate, channels), making.without_info(making.mp3(0.5, rate, channels))):
        for data in (WITH_INFO, WITHOUT):
            detail = making.reject_of(data + other)
            assert f"changes at byte {len(data)} from 16000 Hz and 1 channel to MP3 of {rate} Hz" in detail


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a frame's header", WITHOUT[: len(FRAMES[0])] + b"\0" + WITHOUT[len(FRAMES[0]) + 1 :]),
        ("the first frame's header", b"\xfe" + WITHOUT[1:]),
        ("bytes lost inside", WITHOUT[:1000] + WITHOUT[1010:]),
        ("bytes put in", WITHOUT[:1000] + b"12345" + WITHOUT[1000:]),
        ("zeros between frames", b"".join([*FRAMES[:9], bytes(400), *FRAMES[9:]])),
        ("many zeros behind", WITHOUT + bytes(4000)),
        ("the end zeroed", WITHOUT[:-2000] + bytes(2000)),
        ("something behind", WITHOUT + b"what is this? " * 9),
        ("something in front", b"what is this? " * 200 + WITHOUT),
        ("the first byte cleared", b"\0" + WITHOUT[1:]),
        ("the second byte cleared", WITHOUT[:1] + b"\0" + WITHOUT[2:]),
        ("the third byte set", WITHOUT[:2] + b"\xff" + WITHOUT[3:]),
        ("the beginning zeroed", bytes(1500) + WITHOUT[1500:]),
        ("the first frame as long as two", making.flipped(OF_64_KBPS, 8 * 2 + 6)),
        ("the tenth frame as long as two", making.flipped(OF_64_KBPS, 8 * (9 * 288 + 2) + 6)),
        ("an Info frame without its header", WITH_INFO[1:]),
        (
            "a letter of the header's name",
            WITH_INFO[: info_at(WITH_INFO)] + b"\0" + WITH_INFO[info_at(WITH_INFO) + 1 :],
        ),
        ("the header's name and flags", making.with_value(WITH_INFO, info_at(WITH_INFO), ">Q", 0)),
        ("the header's counts", making.with_value(WITH_INFO, info_at(WITH_INFO) + 8, ">Q", 0)),
        ("the encoder's name", making.with_value(WITH_INFO, WITH_INFO.find(b"LAME"), "9s", bytes(9))),
        ("the encoder's delay", making.with_value(WITH_INFO, WITH_INFO.find(b"LAME") + 21, "3s", bytes(3))),
        ("the header's name", WITH_INFO.replace(b"Info", b"Inbo").replace(b"Xing", b"Xinf")),
    ],
)
def test_damage_is_told(name, data):
    assert "damaged MP3" in making.reject_of(data), name


def test_a_free_bit_rate():
    """Frames that do not name their bit rate: how far it is to the next one says it."""
    frames = making.mp3_frames(making.without_info(making.mp3(mode="CONSTANT")))
    data = b"".join(making.with_value(frame, 2, "B", frame[2] & 0x0F) for frame in frames)
    contents = inspect(data)
    assert contents.num_samples == len(frames) * FRAME - DELAY
    assert len(making.decode(contents)) == pytest.approx(contents.num_samples, abs=FRAME)
    assert "cut MP3" in making.reject_of(data[:-9])


@pytest.mark.parametrize("mode", [0x00, 0xC0])
def test_layer_1(mode):
    """Frames of 384 samples, in slots of four bytes; of zeros behind the header, they are silent."""
    plain = b"\xff\xff\x18" + bytes([mode])  # 32 kbps at 32 kHz
    frame, padded = plain.ljust(48, b"\0"), (plain[:2] + b"\x1a" + plain[3:]).ljust(52, b"\0")
    contents = inspect((frame + padded + frame) * 20)
    assert contents.format == "MPEG layer I"
    assert (contents.num_samples, contents.num_channels) == (60 * 384, 1 if mode else 2)
    assert len(making.decode(contents)) == pytest.approx(60 * 384, abs=contents.tolerance)
    assert "cut MPEG layer I" in making.reject_of(frame * 20 + padded[:50])


def test_vbri_is_no_audio():
    head = FRAMES[0][:4]
    size = len(FRAMES[0])
    content = b"VBRI" + struct.pack(">HHHII", 1, 0, 0, len(WITHOUT) + size, len(FRAMES))
    vbri = (head + bytes(32) + content).ljust(size, b"\0")
    contents = inspect(vbri + WITHOUT)
    assert contents.num_samples == ALL
    assert len(making.decode(contents)) == ALL
    assert "VBRI header promises" in making.reject_of(vbri + WITHOUT[: -len(FRAMES[-1])])


def test_a_wav_of_mp3():
    fmt = struct.pack("<HHIIHHH", 0x55, 1, making.RATE, 4000, 1, 0, 0)
    contents = inspect(making.wav_of([(b"fmt ", fmt), (b"data", WITH_INFO)]))
    assert (contents.format, contents.num_samples) == ("MP3 in WAV", making.RATE)
    assert len(making.decode(contents)) == making.RATE


@pytest.mark.parametrize(("kind", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")])
def test_a_file_of_another_format_behind_is_told(kind, subtype):
    """The MP3's count holds, so that what is behind the last frame might be passed over as an unknown tag."""
    other = making.encode(making.noise(1, 16000), 16000, kind, subtype)
    for between in (b"", bytes(700), b"TAG" + bytes(125)):
        told = making.reject_of(WITH_INFO + between + other)
        assert f"at byte {len(WITH_INFO + between)}, begins a file of" in told
    m4a, amr = b"\0\0\0\x20ftypM4A " + bytes(200), b"#!AMR\n" + bytes(99)
    for beginning in (m4a, amr):
        assert f"at byte {len(WITH_INFO)}, begins a file of" in making.reject_of(WITH_INFO + beginning)
    for junk in (b"<html>no such page</html>", b"PK\3\4" + bytes(99), bytes(range(256))):
        assert inspect(WITH_INFO + junk).num_samples == making.RATE


def test_the_id3_tag_may_lie():
    """A size that skips audio, and one that ends inside the tag."""
    for size in (bytes([0, 0, 9, 0]), bytes([0, 0, 0, 9])):
        contents = inspect(b"ID3\3\0\0" + size + bytes(128) + WITH_INFO)
        assert contents.num_samples == making.RATE


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("padding", [0, 700])
def test_an_mp3_in_a_tag_is_no_audio(version, padding):
    """A preview, or a picture in which headers of frames follow each other."""
    preview, bits = WITHOUT * 3, 7 if version == 4 else 8

    def size_of(content, bits):
        return bytes(len(content) >> bits * place & (1 << bits) - 1 for place in (3, 2, 1, 0))

    content = b"GEOB" + size_of(preview, bits) + b"\0\0" + preview + bytes(padding)
    tag = b"ID3" + bytes([version, 0, 0]) + size_of(content, 7) + content
    for data in (tag + WITH_INFO, tag + TAG + WITH_INFO):
        assert inspect(data).num_samples == making.RATE
    assert inspect(tag + WITHOUT).num_samples == ALL


def test_a_stream_of_one_bit_rate_is_taken_and_a_frame_taken_out_of_it_is_not_told():
    """Without a count, a shorter stream of whole frames is a shorter clip."""
    assert inspect(OF_64_KBPS).num_samples == 20 * FRAME - DELAY
    assert inspect(OF_64_KBPS[288:]).num_samples == 19 * FRAME - DELAY


def test_frames_taken_out_swapped_and_doubled():
    """The count shows that one is missing or doubled; nothing shows the order: frames carry no number."""
    info, *frames = making.mp3_frames(WITH_INFO)
    assert "promises" in making.reject_of(b"".join([info, *frames[:9], *frames[10:]]))
    swapped = [*frames[:9], frames[10], frames[9], *frames[11:]]
    assert inspect(b"".join([info, *swapped])).num_samples == making.RATE
    for changed, more in (
        ([*frames[:9], *frames[10:]], -1),
        (swapped, 0),
        ([*frames[:9], frames[9], *frames[9:]], 1),
    ):
        assert inspect(b"".join(changed)).num_samples == ALL + more * FRAME
