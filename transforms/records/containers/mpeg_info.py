"""The first frame of most MP3s, which holds no audio but the number of frames (Xing, Info, VBRI).

It is laid out as http://gabriel.mp3-tech.org/mp3infotag.html says, with LAME's part behind it in most.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np

from melbeam.transforms.records.containers.checksums import lame_crc16
from melbeam.transforms.records.containers.mpeg_frames import VERSION_1, Kind, sizes_of
from melbeam.transforms.records.rejects import Reject

_MIN_DELAY = 500  # samples; LAME puts 576 in front
_MAX_DELAY, _MAX_PADDING = 1700, 2900  # samples, more than any encoder is known to put in front and behind
_ENCODERS = (b"LAME", b"Lavf", b"Lavc")
_VBRI_AT = 36  # byte of a frame
_ENCODER_AT = 120  # bytes behind the name, where all four fields are there
_MAX_FRAME = 2881  # bytes, of layer III at 320 kbit/s and 8 kHz
# A name, the flags that say which fields follow, and no more of those than there are; or VBRI and its version.
_COUNT = re.compile(rb"(?:Xing|Info)\x00\x00\x00[\x01-\x0f]|VBRI\x00\x01")


@dataclass(frozen=True)
class Info:
    """What a first frame without audio says of the frames behind it.

    Attributes:
        name: Xing, Info or VBRI.
        at: the byte of the name in its frame.
        frames: how many of audio follow, or None.
        bytes: how many there are with it, or None.
        delay: samples that the encoder put in front, or None.
        padding: samples that it put behind, or None.
        is_damaged: whether its checksum does not hold and it would cut off much.
        fails_checksum: whether it has a checksum that does not hold.
    """

    name: str
    at: int
    frames: int | None
    bytes: int | None
    delay: int | None
    padding: int | None
    is_damaged: bool = False
    fails_checksum: bool = False


def read_info(frame: bytes, kind: Kind) -> Info | None:
    """What a whole frame says of those behind it, or None where it is one of audio.

    Raises:
        Reject: bad_audio, where it can be seen that it was damaged.
    """
    if kind.layer != 1:
        return None
    side = _side_size(kind)
    if frame[_VBRI_AT : _VBRI_AT + 4] == b"VBRI" and len(frame) >= 54:
        num_bytes, num_frames = struct.unpack_from(">II", frame, 46)
        return Info("VBRI", _VBRI_AT, num_frames, num_bytes, None, None)
    # The name is behind the side information; behind a checksum too, where there is one, by some encoders.
    for at in (4 + side, 6 + side):
        name = frame[at : at + 4]
        if name in (b"Xing", b"Info"):
            break
        is_count = _is_damaged_name(name) or frame[at + _ENCODER_AT :][:4] in _ENCODERS
        if len(name) == 4 and not any(frame[6:at]) and is_count:
            raise Reject("bad_audio", f"a damaged MP3: the name of its Info header is {name!r}")
    else:
        return None
    if len(frame) < at + 8:
        return Info(name.decode(), at, None, None, None, None)
    (flags,) = struct.unpack_from(">I", frame, at + 4)
    # Where an encoder's name stands behind all four fields, all four must be there.
    if flags >> 4 or (flags != 15 and frame[at + _ENCODER_AT :][:4] in _ENCODERS):
        raise Reject("bad_audio", f"a damaged MP3: the flags of its Info header are 0x{flags:08X}")
    position = at + 8
    fields: list[int | None] = []
    for bit in (1, 2):
        fields.append(int.from_bytes(frame[position : position + 4], "big") if flags & bit else None)
        position += 4 * bool(flags & bit)
    position += 100 * bool(flags & 4) + 4 * bool(flags & 8)
    delay = padding = None
    is_damaged = fails_checksum = False
    if len(frame) >= position + 36 and frame[position : position + 4].strip(b"\0"):
        packed = int.from_bytes(frame[position + 21 : position + 24], "big")
        delay, padding = packed >> 12, packed & 0xFFF
        checksum = int.from_bytes(frame[position + 34 : position + 36], "big")
        # LAME takes it of all in front; ffmpeg of 190 bytes, whatever the frame has, with zeros in its place.
        if checksum and checksum != lame_crc16(frame[: position + 34]):
            zeroed = frame[: position + 34] + b"\0\0" + frame[position + 36 :]
            holds = checksum in (lame_crc16(frame[:190]), lame_crc16(zeroed[:190].ljust(190, b"\0")))
            fails_checksum = not holds
            is_damaged = not holds and (delay > _MAX_DELAY or padding > _MAX_PADDING)
        _check_encoder(name, frame[position : position + 9], delay, padding, checksum, fails_checksum)
    elif len(frame) >= position + 36 and frame[position + 9 : position + 36].strip(b"\0"):
        packed = int.from_bytes(frame[position + 21 : position + 24], "big")
        if _MIN_DELAY <= packed >> 12 <= _MAX_DELAY and packed & 0xFFF <= _MAX_PADDING:
            told = f"a delay of {packed >> 12} and {packed & 0xFFF} samples behind, but no encoder"
            raise Reject("bad_audio", f"a damaged MP3: its {name.decode()} header names {told}")
    return Info(name.decode(), at, fields[0], fields[1], delay, padding, is_damaged, fails_checksum)


def _check_encoder(
    name: bytes, encoder: bytes, delay: int, padding: int, checksum: int, fails_checksum: bool
) -> None:
    """Refuses a delay or padding of 0 that a known encoder does not write."""
    cleared = (fails_checksum and not delay) or (encoder.startswith(b"LAME") and not padding and not checksum)
    if encoder[:4] in _ENCODERS and cleared:
        told = f"{encoder!r} with a delay of {delay} and {padding} samples behind, and no checksum that holds"
        raise Reject("bad_audio", f"a damaged MP3: its {name.decode()} header names {told}")


def _is_damaged_name(name: bytes) -> bool:
    """Whether two bits or one letter differ from a name."""
    for right in (b"Xing", b"Info"):
        apart = [(a ^ b).bit_count() for a, b in zip(name, right, strict=True)]
        if sum(apart) <= 2 or apart.count(0) == 3:
            return True
    return False


def place_of_count(data: bytes, end: int) -> int:
    """The byte in front of `end`, no further than a frame, where the name in front of a count stands, or -1."""
    found = _COUNT.search(data, max(0, end - _MAX_FRAME), end)
    return found.start() if found else -1


def info_frames_of(data: bytes, starts: list[int], kind: Kind) -> list[int]:
    """Which of some frames hold a count, as the first ones of joined files do."""
    if kind.layer != 1 or not starts:
        return []
    offset = 4 + _side_size(kind)
    values = np.frombuffer(data, np.uint8)
    places = np.array(starts)
    places = np.minimum(places, len(data) - 1 - max(offset, _VBRI_AT))
    letters = values[places + offset]
    found = np.flatnonzero((letters == ord("X")) | (letters == ord("I")) | (values[places + _VBRI_AT] == ord("V")))
    return [
        index
        for index in found.tolist()
        if data[starts[index] + offset : starts[index] + offset + 4] in (b"Xing", b"Info")
        or data[starts[index] + _VBRI_AT : starts[index] + _VBRI_AT + 4] == b"VBRI"
        if not any(data[starts[index] + 6 : starts[index] + offset])
    ]


def info_frame(head: bytes, kind: Kind, num_frames: int) -> bytes:
    """A first frame without audio that says how many follow; the smallest that has room for that."""
    content = b"\0" * _side_size(kind) + b"Info" + struct.pack(">II", 1, num_frames)
    for index in range(1, 15):
        third = index << 4 | head[2] & 0x0C
        size = sizes_of(kind.version, kind.layer, kind.rate).get((head[1] | 1) << 8 | third, 0)
        if size >= 4 + len(content) + 100:
            return (bytes((0xFF, head[1] | 1, third, head[3])) + content).ljust(size, b"\0")
    raise AssertionError("one of the bit rates has room for a count")


def _side_size(kind: Kind) -> int:
    """Bytes of a layer III frame's side information, behind its header."""
    if kind.version == VERSION_1:
        return 32 if kind.channels == 2 else 17
    return 17 if kind.channels == 2 else 9
