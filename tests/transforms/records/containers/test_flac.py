"""FLAC: the frames by their headers, STREAMINFO against them, and the MD5 of the samples."""

import making
import numpy as np
import pytest
import soundfile

from melbeam.transforms.records.containers import flac_digest, inspect
from melbeam.transforms.records.rejects import Reject

DATA = making.encode(making.noise(4), kind="FLAC", subtype="PCM_16")
METADATA, FRAMES = making.flac_frames(DATA)
TOTAL = 4 * making.RATE
BLOCK = 4096
TAG = b"ID3\3\0\0\0\0\1\0" + bytes(128)


def test_the_frames_are_counted():
    contents = inspect(DATA)
    assert (contents.format, contents.num_samples, contents.tolerance) == ("FLAC", TOTAL, 0)
    assert contents.parts[0].data is DATA
    assert len(FRAMES) == -(-TOTAL // BLOCK)


@pytest.mark.parametrize("total", [0, 1, TOTAL // 3, TOTAL - 1])
def test_a_total_that_is_too_small_does_not_cut(total):
    contents = inspect(making.with_flac_total(DATA, total))
    assert contents.num_samples == TOTAL
    np.testing.assert_array_equal(making.decode(contents), making.decode(inspect(DATA)))
    assert contents.remark == (
        f"its STREAMINFO promises {total} samples a channel, {TOTAL} are there" * (total > 0)
    )


@pytest.mark.parametrize("total", [TOTAL + 1, 2 * TOTAL, 2**36 - 1])
def test_a_total_that_is_too_large(total):
    lying = making.with_flac_total(DATA, total)
    assert f"promises {total} samples a channel, {TOTAL} are there" in making.reject_of(lying)


def test_frames_that_are_not_in_order():
    middle = len(FRAMES) // 2
    before, behind = FRAMES[:middle], FRAMES[middle:]
    for frames in (
        [*before, *behind[1:]],  # one taken out
        [*before, behind[1], behind[0], *behind[2:]],  # two swapped
        [*before, behind[0], *behind],  # one twice
        FRAMES[1:],
        [*FRAMES, *FRAMES],
        [*FRAMES[:-1], FRAMES[-1], FRAMES[-1]],
    ):
        assert "FLAC" in making.reject_of(METADATA + b"".join(frames))


def test_joined_and_cut():
    longer = making.encode(making.noise(8, seed=6), kind="FLAC", subtype="PCM_16")
    for data in (DATA + DATA, DATA + longer, longer + DATA):
        assert "and another begins there" in making.reject_of(data)
    for size in (len(METADATA) - 1, 20, 4):
        assert "FLAC" in making.reject_of(DATA[:size])
    piped = making.with_flac_total(DATA, 0)
    assert "the checksum of its last frame" in making.reject_of(piped[:-9])
    # Between two frames of a stream that names no total, nothing tells; with one it does.
    assert making.length(piped[: -len(FRAMES[-1])]) == (len(FRAMES) - 1) * BLOCK
    shorter = DATA[: -len(FRAMES[-1])]
    assert f"promises {TOTAL} samples" in making.reject_of(shorter)
    tolerated = inspect(shorter, cut_tolerance_seconds=0.3)
    assert (tolerated.num_samples, tolerated.cut_tolerated) == ((len(FRAMES) - 1) * BLOCK, True)
    assert len(making.decode(tolerated)) == tolerated.num_samples


@pytest.mark.parametrize("around", [(TAG, b""), (bytes(99), b""), (b"", b"TAG" + bytes(125)), (TAG, bytes(500))])
def test_tags_and_zeros_around(around):
    contents = inspect(around[0] + DATA + around[1])
    np.testing.assert_array_equal(making.decode(contents), making.decode(inspect(DATA)))


@pytest.mark.parametrize("rate", [1000, 11025, 44100, 48000, 65535, 192000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_every_way_to_write_a_header(rate, channels):
    data = making.encode(making.noise(0.2, rate, channels), rate, "FLAC", "PCM_24")
    contents = inspect(data)
    assert (contents.sampling_rate, contents.num_channels) == (rate, channels)
    assert contents.num_samples == len(making.decode(contents)) == int(0.2 * rate)


@pytest.mark.parametrize("bits", [12, 20, 32])
def test_bits_that_libsndfile_does_not_read(bits):
    """Only the count is ours; another decoder is asked."""
    packed = int.from_bytes(DATA[18:26], "big")
    packed = packed & ~(31 << 36) | (bits - 1) << 36
    frames = []
    codes = {12: 2, 20: 5, 32: 7}
    for frame in FRAMES:
        frame = making.with_value(frame, 3, "B", frame[3] & 0xF1 | codes[bits] << 1)
        size = 5 if frame[2] >> 4 != 7 else 7  # the last block has its size behind the number
        frames.append(frame[:size] + bytes([crc8(frame[:size])]) + frame[size + 1 :])
    contents = inspect(METADATA[:18] + packed.to_bytes(8, "big") + METADATA[26:] + b"".join(frames))
    assert (contents.num_samples, contents.parts) == (TOTAL, None)


def crc8(data):
    register = 0
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register << 1 & 0xFF) ^ (0x07 if register & 0x80 else 0)
    return register


@pytest.mark.parametrize(("subtype", "channels"), [("PCM_S8", 1), ("PCM_16", 1), ("PCM_16", 2), ("PCM_24", 2)])
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_the_md5_of_the_samples(subtype, channels, dtype):
    data = making.encode(making.noise(1, channels=channels), kind="FLAC", subtype=subtype)
    samples, _ = soundfile.read(making.io.BytesIO(data), dtype=dtype, always_2d=True)
    digest = flac_digest(data)
    for block in np.array_split(samples, 7):
        digest.update(block)
    digest.check()
    digest = flac_digest(TAG + data)
    samples[5000, 0] += np.float32(2**-7) if dtype == "float32" else 1 << 24
    digest.update(samples)
    with pytest.raises(Reject, match="damaged FLAC: the MD5 of its samples"):
        digest.check()


def test_files_without_an_md5():
    assert flac_digest(b"no FLAC") is None
    assert flac_digest(DATA[:26] + bytes(16) + DATA[42:]) is None
