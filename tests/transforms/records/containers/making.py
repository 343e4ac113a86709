"""Makes, takes apart and damages audio files; decodes what `inspect` hands over, as decoding does."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from helpers import encode
from melbeam.transforms.records.containers import inspect
from melbeam.transforms.records.containers.checksums import ogg_crc, reversed_bits
from melbeam.transforms.records.rejects import Reject

DATA = Path(__file__).parents[3] / "data" / "audio"
RATE = 16000


def noise(seconds, rate=RATE, channels=1, seed=5):
    samples = 0.1 * np.random.default_rng(seed).standard_normal((int(seconds * rate), channels))
    return samples.astype(np.float32)


def other_encoders():
    """The names of the small files."""
    return sorted(path.name for path in DATA.iterdir() if path.suffix != ".md")


def read(name):
    return (DATA / name).read_bytes()


def decode(contents):
    """float64 `[num_samples, num_channels]`: all parts, without what fills their last blocks."""
    blocks = []
    for part in contents.parts:
        samples, rate = soundfile.read(io.BytesIO(part.data), dtype="float64", always_2d=True)
        if (rate, samples.shape[1]) != (contents.sampling_rate, contents.num_channels):
            raise Reject(
                "bad_audio", f"decoded as {samples.shape[1]} channels of {rate} Hz, counted as {contents}"
            )
        if abs(len(samples) - part.num_samples - part.num_filled) > contents.tolerance:
            raise Reject(
                "bad_audio", f"{part.num_samples} + {part.num_filled} samples, {len(samples)} are decoded"
            )
        blocks.append(samples[: part.num_samples])
    return np.concatenate(blocks)


def length(data, **options):
    """The samples a channel that a file comes in with, or None where it is turned away."""
    try:
        contents = inspect(data, **options)
        if contents is None:
            return None
        return contents.num_samples if contents.parts is None else len(decode(contents))
    except (Reject, soundfile.SoundFileError):
        return None


def reject_of(data, **options):
    """What a file is turned away with by its bytes alone."""
    with pytest.raises(Reject) as reject:
        inspect(data, **options)
    assert reject.value.reason == "bad_audio"
    return reject.value.detail


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def with_value(data, offset, kind, value):
    changed = bytearray(data)
    struct.pack_into(kind, changed, offset, value)
    return bytes(changed)


# WAV


def wav_chunks(data):
    """(name, content) of each chunk."""
    position, found = 12, []
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        found.append((name, data[position + 8 : position + 8 + size]))
        position += 8 + size + size % 2
    return found


def wav_of(chunks, name=b"RIFF", size=None):
    body = b"WAVE" + b"".join(
        chunk + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2) for chunk, content in chunks
    )
    return name + struct.pack("<I", len(body) if size is None else size) + body


# MP3


def mp3_frames(data):
    """The frames of a stream that begins with the first byte."""
    position, frames = 0, []
    while position < len(data):
        (head,) = struct.unpack_from(">I", data, position)
        assert head >> 21 == 0x7FF
        is_first = head >> 19 & 3 == 3
        rates = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}[head >> 19 & 3]
        kbps = (
            (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
            if is_first
            else (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
        )[head >> 12 & 15]
        size = (144 if is_first else 72) * kbps * 1000 // rates[head >> 10 & 3] + (head >> 9 & 1)
        frames.append(data[position : position + size])
        position += size
    return frames


def mp3(seconds=1.0, rate=RATE, channels=1, mode="VARIABLE"):
    samples = noise(seconds, rate, channels)
    return encode(samples, rate, "MP3", "MPEG_LAYER_III", bitrate_mode=mode, compression_level=0.5)


def without_info(data):
    first, *others = mp3_frames(data)
    assert b"Xing" in first or b"Info" in first
    return b"".join(others)


# Ogg


def ogg_pages(data):
    position, pages = 0, []
    while position < len(data):
        body = position + 27 + data[position + 26]
        end = body + sum(data[position + 27 : body])
        pages.append(data[position:end])
        position = end
    return pages


def sealed(page):
    """The page with the checksum of its content."""
    page = bytearray(page)
    page[22:26] = bytes(4)
    page[22:26] = struct.pack("<I", ogg_crc(reversed_bits(bytes(page))))
    return bytes(page)


def with_page_fields(page, *, flags=None, granule=None, serial=None, number=None):
    changed = bytearray(page)
    if flags is not None:
        changed[5] = flags
    for offset, kind, value in ((6, "<q", granule), (14, "<I", serial), (18, "<I", number)):
        if value is not None:
            struct.pack_into(kind, changed, offset, value)
    return sealed(changed)


def page_of(packet, *, flags, serial, number):
    assert len(packet) < 255
    head = b"OggS\0" + bytes([flags]) + struct.pack("<qIII", 0, serial, number, 0) + b"\1" + bytes([len(packet)])
    return sealed(head + packet)


# FLAC


def flac_frames(data):
    """(metadata, frames) of a FLAC of fixed block size, by its frames' numbers below 128."""
    position, is_last = 4, False
    while not is_last:
        is_last = data[position] >= 0x80
        position += 4 + int.from_bytes(data[position + 1 : position + 4], "big")
    starts = [position]
    sync = data[position : position + 4]
    while True:
        number = len(starts)
        wanted = sync[:2], number
        at = starts[-1] + 1
        while (at := data.find(wanted[0], at)) >= 0 and data[at + 4] != number:
            at += 1
        if at < 0:
            break
        starts.append(at)
    ends = [*starts[1:], len(data)]
    return data[:position], [data[start:end] for start, end in zip(starts, ends, strict=True)]


def with_flac_total(data, total):
    """STREAMINFO's number of samples is the last 36 of the 64 bits at byte 18."""
    (bits,) = struct.unpack_from(">Q", data, 18)
    return with_value(data, 18, ">Q", bits >> 36 << 36 | total)
