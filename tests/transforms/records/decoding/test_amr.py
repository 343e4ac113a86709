"""AMR: recorders change its modes, leave out pauses and lose frames; a damaged byte is found all the same."""

import random
from contextlib import suppress
from pathlib import Path

import pytest

from melbeam.transforms.records.decoding import decode_audio
from melbeam.transforms.records.decoding.media import media_of
from melbeam.transforms.records.rejects import Reject

# Bits of a frame by its mode, the mode of one that describes the noise of a pause, Hz: 3GPP TS 26.101 and 26.201.
NB = (b"#!AMR\n", (95, 103, 118, 134, 148, 159, 204, 244, 39), 8, 8000)
WB = (b"#!AMR-WB\n", (132, 177, 253, 285, 317, 365, 397, 461, 477, 40), 9, 16000)
NOTHING = b"\x7c"  # a frame of mode 15
CODINGS = pytest.mark.parametrize("coding", [NB, WB], ids=["AMR", "AMR-WB"])


def frame(coding, mode, rng):
    """A frame of any content, filled up to bytes with zeros."""
    bits = coding[1][mode]
    return bytes([mode << 3 | 4]) + (rng.getrandbits(bits) << -bits % 8).to_bytes((bits + 7) // 8, "big")


def pause(coding, num_frames, rng):
    """A description of the noise, and nothing in the seven frames behind it, over and over."""
    return [frame(coding, coding[2], rng) if number % 8 == 0 else NOTHING for number in range(num_frames)]


def seconds(coding, frames):
    """Reads the length that the file states, in frames of 20 ms; None stands for one that is refused."""
    try:
        return media_of(coding[0] + b"".join(frames)).seconds * 50
    except Reject:
        return None


def recordings(coding, rng):
    """Frames as they are recorded where a network changes the mode, as RFC 4867 allows it."""
    speech = range(coding[2])
    for mode in speech:
        yield [frame(coding, mode, rng) for _ in range(300)]
    yield [frame(coding, rng.choice(speech), rng) for _ in range(2000)]  # with any frame
    yield [frame(coding, mode, rng) for mode in rng.choices(speech, k=200) for _ in range(2)]  # each 40 ms
    yield [frame(coding, 2 if number == 100 else 7, rng) for number in range(200)]  # one frame alone
    yield [f for mode in rng.choices(speech, k=60) for f in (frame(coding, mode, rng), *pause(coding, 9, rng))]
    stolen = (NOTHING if rng.random() < 0.1 else frame(coding, rng.choice((4, 7)), rng) for _ in range(1000))
    yield list(stolen)
    yield [*pause(coding, 100, rng), frame(coding, 0, rng), *pause(coding, 100, rng)]


@CODINGS
def test_modes_that_change_come_in_whole(coding):
    for frames in recordings(coding, random.Random(1)):
        assert seconds(coding, frames) == len(frames)


@pytest.mark.parametrize(
    ("coding", "mode"), [*((NB, mode) for mode in (0, 1, 4, 7)), *((WB, mode) for mode in (0, 1, 4, 7, 8))]
)
def test_no_bit_of_a_first_byte_makes_a_pause_shorter(coding, mode):
    """In AMR, a frame of noise and seven of nothing are as long as one of mode 0, a bit from it; others alike."""
    rng = random.Random(mode)
    frames = [frame(coding, mode, rng) for _ in range(40)] + pause(coding, 99, rng)
    frames += [frame(coding, mode, rng) for _ in range(40)] + pause(coding, 60, rng)
    wrong = []
    for number in (39, *range(40, 139), 178, *range(179, len(frames))):
        right = frames[number]
        for bit in range(8):
            flipped = [*frames[:number], bytes([right[0] ^ 1 << bit]) + right[1:], *frames[number + 1 :]]
            if seconds(coding, flipped) not in (None, len(frames)):
                wrong.append((number, right[0], bit))
    assert not wrong


def test_what_a_flipped_mode_hides_is_told():
    rng = random.Random(2)
    frames = [*pause(NB, 40, rng), *(frame(NB, 7, rng) for _ in range(9))]
    frames[8] = b"\x04" + frames[8][1:]
    with pytest.raises(
        Reject, match="byte 19 is of mode 0, a bit from 8, with which 8 frames are there in its place"
    ):
        media_of(NB[0] + b"".join(frames))


def test_a_byte_doubled_or_gone():
    """The zeros that fill the last byte of each frame are no longer there, in 15 of 16 frames of this mode."""
    data = (Path(__file__).parents[3] / "data" / "tone.amr").read_bytes()
    data = data[: 6 + 32 * 50]
    right = media_of(data).seconds
    wrong = []
    for at in range(6, len(data)):
        for what, damaged in (("doubled", data[: at + 1] + data[at:]), ("gone", data[:at] + data[at + 1 :])):
            with suppress(Reject):
                wrong += [(what, at)] if media_of(damaged).seconds != right else []
    assert not wrong
    # An empty frame, as the end of a frame may look like: an encoder does not leave one alone.
    one = data[6:38]
    assert media_of(b"#!AMR\n" + one * 9).seconds * 50 == 9
    with pytest.raises(Reject, match="the frame at byte 70 does not end with the zeros"):
        media_of(b"#!AMR\n" + one * 2 + one[:31] + bytes([one[31] | 1]) + one * 6)


@CODINGS
def test_two_files_are_told(coding):
    data = coding[0] + frame(coding, 7, random.Random(3)) * 9
    with pytest.raises(Reject, match=f"a second header at byte {len(data)}: two files"):
        media_of(data + data)


@CODINGS
def test_pauses_and_changes_are_decoded(coding):
    """With PyAV 19, whose wheels lack the decoders that fill pauses in, the reject says so.

    The bits are no speech: FFmpeg's own decoder, the one there, makes peaks of some that no recording has.
    """
    av = pytest.importorskip("av", reason="the extra media is not installed")
    fills_pauses = "libopencore_amrnb" in av.codecs_available
    rng = random.Random(4)
    magic, _, _, rate = coding
    for frames in recordings(coding, rng):
        data = magic + b"".join(frames)
        whole = len(frames) * rate // 50
        refusals = []
        if not fills_pauses:
            refusals.append("out_of_range")
            if NOTHING in frames:
                refusals.append("its coder left out pauses, which PyAV up to 18 fills in")
        found = num_decoded(data, rate)
        assert found == whole or any(refusal in str(found) for refusal in refusals)


def num_decoded(data, rate):
    """The samples that come in, or why none do."""
    try:
        return len(decode_audio(data, sampling_rate=rate).samples)
    except Reject as reject:
        return str(reject)
