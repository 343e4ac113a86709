"""What is fuzzed: bytes in, and only the documented errors may come out."""

import io
import json
import math
from pathlib import Path

import numpy as np

from melbeam.pipelines.tfrecord import Damage, read_tfrecords
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.presets.reading import PresetError, read_preset_file
from melbeam.transforms.records.containers import flac_digest, inspect, name_of
from melbeam.transforms.records.containers.checksums import ogg_crc, reversed_bits
from melbeam.transforms.records.decoding import decode_audio, libav
from melbeam.transforms.records.decoding.apart import is_installed
from melbeam.transforms.records.decoding.audio import DecoderError, Request
from melbeam.transforms.records.decoding.media import media_of
from melbeam.transforms.records.examples import read_audio_example, to_reject
from melbeam.transforms.records.rejects import Reject

CORPUS = Path(__file__).parents[1] / "data" / "fuzz"
MAX_RECORD_BYTES = 1 << 12
MAX_SECONDS = 20.0


def tfrecord(data: bytes) -> None:
    """Every byte of the file in one item, and no item above the limit."""
    items = list(read_tfrecords(io.BytesIO(data), max_record_bytes=MAX_RECORD_BYTES))
    assert [item.number for item in items] == list(range(len(items)))
    end = 0
    for item in items:
        assert item.offset == end
        end += item.size if isinstance(item, Damage) else len(item.data) + 16
        assert len(item.data) <= 64 << 10
    if data[:2] != b"\x1f\x8b" and data[:1] != b"\x78":
        assert end == len(data)


def example(data: bytes) -> None:
    """A record that is read, or a reject, which can be stored."""
    for audio_format, rate in (("encoded", None), ("pcm_s16le", 16000)):
        try:
            found = read_audio_example(
                data,
                sampling_rate=16000,
                audio_format=audio_format,
                pcm_sampling_rate=rate,
                max_seconds=MAX_SECONDS,
            )
        except Reject as reject:
            to_reject(data, reject, "fuzz#0")
        else:
            check_audio(found.audio)
            assert found.id


def audio(data: bytes) -> None:
    """Finite samples, no more than the limit, or a reject with the same words every time."""
    said = []
    for _ in range(2):
        try:
            check_audio(decode_audio(data, sampling_rate=16000, max_seconds=MAX_SECONDS))
        except Reject as reject:
            said.append(str(reject))
    assert len(set(said)) <= 1, said


def media(data: bytes) -> None:
    """As `audio`, of the formats that PyAV alone decodes, in this process; without PyAV, up to its decode."""
    said = []
    for _ in range(2):
        try:
            found = media_of(data)
            if found is not None and is_installed():
                check_audio(libav.decode(data, found, Request(16000, max_seconds=MAX_SECONDS)))
        except (Reject, DecoderError) as error:
            said.append(str(error))
    assert len(set(said)) <= 1, said


def container(data: bytes) -> None:
    """What a file holds, the same each time, in parts no longer than the file and a header; or a reject."""
    name_of(data)
    if data.startswith(b"OggS"):
        check_container(with_page_checksums(data))
    check_container(data)


def with_page_checksums(data: bytes) -> bytes:
    """The same Ogg pages, each with a checksum that holds, so that the fuzzer comes behind them."""
    changed = bytearray(data)
    position = 0
    while position + 27 <= len(data) and data.startswith(b"OggS", position):
        body = position + 27 + data[position + 26]
        end = body + sum(data[position + 27 : body])
        changed[position + 22 : position + 26] = bytes(4)
        checksum = ogg_crc(reversed_bits(bytes(changed[position:end])))
        changed[position + 22 : position + 26] = checksum.to_bytes(4, "little")
        position = end
    return bytes(changed)


def check_container(data: bytes) -> None:
    for options in ({}, {"cut_tolerance_seconds": 0.5}):
        said = []
        for _ in range(2):
            try:
                said.append(inspect(data, **options))
            except Reject as reject:
                check_message(reject)
                said.append(str(reject))
        assert said[0] == said[1]
        found = said[0]
        if found is None or isinstance(found, str):
            continue
        assert found.num_samples >= 0
        assert found.tolerance >= 0
        if found.parts is not None:
            assert found.num_samples == sum(part.num_samples for part in found.parts)
            assert all(part.num_filled >= 0 for part in found.parts)
            # Behind a header of its own, a first frame with the count, or zeros up to the end of a block.
            assert sum(len(part.data) for part in found.parts) <= len(data) + 2048 * len(found.parts) + (1 << 17)
    try:
        flac_digest(data)
    except Reject as reject:
        check_message(reject)


def check_audio(found) -> None:
    assert found.samples.dtype == np.float32
    assert found.samples.ndim == 1
    assert 0 < len(found.samples) <= MAX_SECONDS * 16000 + 1
    assert np.isfinite(found.samples).all()


def front_end(data: bytes) -> None:
    """A front end that comes back from its own YAML, or a ValueError of a length that can be shown."""
    try:
        found = FrontEnd.from_yaml(data.decode(errors="replace"))
    except ValueError as error:
        check_message(error)
        return
    assert FrontEnd.from_yaml(found.to_yaml()) == found
    assert len(found.fingerprint) == 64
    assert math.isfinite(found.num_frames(16000))


def check_message(error) -> None:
    assert 0 < len(str(error)) < 20_000


def preset(data: bytes) -> None:
    """As the front end, of the JSON that a preset's folder holds."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return  # json's own; the loader is not reached
    for name in ("audio_converter.json", "processor_config.json", "preprocessor_config.json"):
        try:
            found = read_preset_file(name, content, "fuzz").front_end
        except PresetError as error:
            check_message(error)
        else:
            assert FrontEnd.from_dict(found.to_dict()) == found


FUNCTIONS = (tfrecord, example, audio, media, container, front_end, preset)
TARGETS = {function.__name__: function for function in FUNCTIONS}


def seeds(target: str) -> list[bytes]:
    """The corpus of a target."""
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]
