"""What is fuzzed: bytes in, and only the documented errors may come out."""

import io
import json
import math
from pathlib import Path

import numpy as np

from melbeam.pipelines.tfrecord import Damage, read_tfrecords
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.presets.reading import PresetError, read_preset_file
from melbeam.transforms.records.decoding import decode_audio
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


TARGETS = {function.__name__: function for function in (tfrecord, example, audio, front_end, preset)}


def seeds(target: str) -> list[bytes]:
    """The corpus of a target."""
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]
