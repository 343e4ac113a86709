"""Every byte of a header is damaged in turn: what the file says of itself does not become another clip unseen."""

import making
import pytest
import soundfile

from melbeam.transforms.records.containers import inspect
from melbeam.transforms.records.containers.rates import as_integers, check_rate
from melbeam.transforms.records.rejects import Reject

RATE = 16000
KINDS = [
    *(("WAV", subtype) for subtype in ("PCM_16", "PCM_24", "FLOAT", "PCM_U8", "ALAW")),
    *(("WAV", subtype) for subtype in ("IMA_ADPCM", "MS_ADPCM", "GSM610")),
    *((kind, "PCM_16") for kind in ("WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "NIST", "AVR", "SVX", "VOC")),
    *((kind, "PCM_16") for kind in ("HTK", "MPC2K")),
    ("AIFF", "FLOAT"),
    ("AIFF", "ALAW"),
    ("CAF", "ALAC_16"),
    ("W64", "FLOAT"),
    ("WVE", "ALAW"),
]
HEADER_SIZE = 128  # bytes; what lies behind is audio in all but CAF, whose header is filled up to 4 kB
BLOCKS = {"IMA_ADPCM": 1017, "MS_ADPCM": 1012, "GSM610": 320}  # samples


def damaged(data, size):
    """Each byte with each of its bits flipped, cleared, set, taken out and doubled."""
    for at in range(min(size, len(data))):
        others = {data[at] ^ 1 << bit for bit in range(8)} | {0, 0xFF}
        for other in others - {data[at]}:
            yield f"byte {at} is {other:#x}", data[:at] + bytes([other]) + data[at + 1 :]
        yield f"byte {at} is gone", data[:at] + data[at + 1 :]
        yield f"byte {at} is doubled", data[: at + 1] + data[at:]


def cannot_be_told(kind, subtype, right, found):
    """What is another file of its kind, byte for byte: nothing in it says the same thing twice."""
    (num_samples, rate, channels), (length, other_rate, other_channels) = right, found
    if kind in ("AIFF", "CAF"):  # a float's power of two
        return (length, other_channels) == (num_samples, channels) and other_rate in (
            rate * 2**power for power in range(-4, 5)
        )
    if kind == "NIST":  # a digit of the rate
        return (length, other_channels) == (num_samples, channels) and other_rate % 1000 == 0
    if kind == "AU":  # the encoding, where the bytes are a whole number of its samples too
        return (other_rate, other_channels) == (rate, channels) and length in (num_samples * 2, num_samples / 2)
    if subtype in BLOCKS:  # `fact`, which alone says how much of the last block is audio
        return (other_rate, other_channels) == (rate, channels) and abs(length - num_samples) < BLOCKS[subtype]
    return False


@pytest.mark.parametrize(("kind", "subtype"), KINDS)
def test_no_damaged_byte_of_a_header_makes_another_clip(kind, subtype):
    rate = 8000 if subtype == "GSM610" or kind == "WVE" else RATE
    # A prime number of samples, so that no other number of channels comes out even.
    data = making.encode(making.noise(0.3, rate)[: 2399 if rate == 8000 else 4799], rate, kind, subtype)
    whole = inspect(data)
    right = (whole.num_samples, whole.sampling_rate, whole.num_channels)
    wrong, num_accepted = [], 0
    for what, changed in damaged(data, HEADER_SIZE):
        try:
            contents = inspect(changed)
            if contents is None:  # no format that is known
                continue
            found = (contents.num_samples, contents.sampling_rate, contents.num_channels)
            if found != right and not cannot_be_told(kind, subtype, right, found):
                making.decode(contents)  # which refuses another number than was counted
                wrong.append((what, found))
        except (Reject, soundfile.SoundFileError):
            continue
        num_accepted += 1
    assert not wrong
    assert num_accepted  # of samples, at least


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_a_rate_a_bit_from_a_usual_one_is_refused_and_every_other_is_taken(rate):
    def check(value):
        encode = as_integers(4, ">")
        check_rate("AU", value, encode(value), encode)

    for bit in range(4, 16):
        with pytest.raises(Reject, match=f"{rate ^ 1 << bit} Hz, which is a damaged byte from {rate} Hz"):
            check(rate ^ 1 << bit)
    # Old sound cards', Amiga's, CD-ROM XA's, film's, and speech at nine tenths and eleven tenths of its speed.
    for odd in (4000, 5512, 6000, 7350, 7418, 8363, 9600, 10000, 11127, 14400, 16726, 17600, 18900, 20000, 22254):
        check(odd)
    for odd in (
        22255,
        25000,
        37800,
        39690,
        43200,
        44056,
        47952,
        48048,
        48510,
        50000,
        64000,
        128000,
        192000,
        384000,
    ):
        check(odd)


def test_only_sizes_that_pipes_leave_mean_until_the_end():
    data = making.encode(making.noise(0.2), subtype="PCM_16")
    for size in (0, 0x7FFFF000, 0x7FFFFFDB, 0x80000000, 0xFFFFFFFF, 0xFFFFFFDB):
        assert inspect(making.with_value(data, 40, "<I", size)).num_samples == 3200
    for size in (0x00190000, 0x7EF00000, 0x80001900, 0x90000000, 0xF0001900):
        assert "promises" in making.reject_of(making.with_value(data, 40, "<I", size))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_chunks_behind_audio_of_unknown_size_are_none_of_it(size):
    tail = b"LIST\x10\0\0\0INFOICMT\4\0\0\0abc\0" + b"id3 \4\0\0\0abcd"
    data = making.encode(making.noise(0.2), subtype="PCM_16") + tail
    data = making.with_value(data, 4, "<I", len(data) - 8)
    assert inspect(data).num_samples == 3200
    assert inspect(making.with_value(data, 40, "<I", size)).num_samples == 3200


def test_comm_counts_the_samples_of_an_aiff_whose_ssnd_does_not():
    data = making.encode(making.noise(0.2), kind="AIFF", subtype="PCM_16")
    data += b"NAME\0\0\0\4abcd"
    assert inspect(data).num_samples == 3200
    assert inspect(making.with_value(data, data.find(b"SSND") + 4, ">I", 0)).num_samples == 3200


def test_a_fact_that_no_writer_leaves_is_refused():
    data = making.encode(making.noise(0.2), subtype="IMA_ADPCM")
    at = data.find(b"fact") + 8
    blocks = 4 * 1017  # 3200 samples fill three and a part
    for told in (blocks, 3200, blocks - 1016, 0):
        assert inspect(making.with_value(data, at, "<I", told)).num_samples == (told or blocks)
    for told in (blocks + 1, blocks - 1017, 1, 1 << 30):
        assert "fact chunk" in making.reject_of(making.with_value(data, at, "<I", told))


@pytest.mark.parametrize("num_samples", [4799, 4801, 5000])
def test_libsndfile_counts_half_of_two_channels_and_the_byte_that_fills_an_aiff(num_samples):
    stereo = making.encode(making.noise(0.4, channels=2)[:num_samples], subtype="IMA_ADPCM")
    assert abs(inspect(stereo).num_samples - num_samples) < 505  # whole blocks
    assert inspect(making.encode(making.noise(0.4)[:num_samples], kind="AIFF", subtype="PCM_24")).num_samples == (
        num_samples
    )


def test_two_clips_may_differ_in_fact_alone():
    """So a flipped bit of it cannot be told: the last block is the same where the samples left out are zeros."""
    samples = making.noise(0.2)
    samples[-3:] = 0
    long, short = (making.encode(clip, subtype="MS_ADPCM") for clip in (samples, samples[:-3]))
    at = long.find(b"fact") + 8
    assert long[:at] + long[at + 4 :] == short[:at] + short[at + 4 :]
    assert (inspect(long).num_samples, inspect(short).num_samples) == (3200, 3197)


def test_a_sample_that_is_not_whole_contradicts_the_header():
    data = making.encode(making.noise(0.2), kind="AU", subtype="PCM_16")
    assert "each sample of all channels has 6" in making.reject_of(making.with_value(data, 20, ">I", 3))
    assert "promises 6399 bytes" in making.reject_of(making.with_value(data, 8, ">I", 6399))
    # A byte that makes the file even, or that ends a text file, is none of audio.
    for size, behind in ((6400, b"\0"), (6400, b"\n")):
        assert inspect(making.with_value(data + behind, 8, ">I", size)).num_samples == 3200
    assert "promises 6400 bytes" in making.reject_of(data + b"\0\0")
