"""What many tests do: they make audio and TFRecords, run a job in this process, and read a folder."""

import contextlib
import io
import json
import os
import re
import tempfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from melbeam.transforms.records.tf_example import to_example

RATE = 16000
BLOCK = re.compile(
    r"(?:^<!-- (?P<said>[a-z]+: [^>]*) -->\n)?^```(?P<language>bash|python)\n(?P<code>.*?)^```", re.M | re.S
)


class Job(NamedTuple):
    """A job that has ended."""

    status: int
    text: str


def encode(samples, rate=RATE, kind="WAV", subtype=None, **options):
    """This gives the bytes of an audio file.

    The samples are `[num_samples]` or `[num_samples, num_channels]`, integers or floats between -1 and 1, at
    `rate` Hz; a WAV is of 16 bits unless another subtype is named. The options are soundfile's.
    """
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype, **options)
    return file.getvalue()


def wav(seed=0, seconds=0.1, rate=RATE, loudness=0.1, **options):
    """This gives the bytes of a WAV of noise at `rate` Hz; its RMS is `loudness` of full scale."""
    noise = loudness * np.random.default_rng(seed).standard_normal(round(rate * seconds))
    return encode(noise, rate, **options)


def speech_like(seconds, seed=0):
    """This gives samples at 16 kHz that change as speech does: tones whose loudness and pitch go up and down."""
    time = np.arange(round(RATE * seconds)) / RATE
    pitch = 120 + 40 * np.sin(2 * np.pi * 0.7 * time + seed)
    tones = sum(np.sin(2 * np.pi * number * np.cumsum(pitch) / RATE) / number for number in range(1, 20))
    return 0.1 * tones * np.clip(np.sin(2 * np.pi * 3 * time + seed), 0, 1)


def clip(name, seconds=0.5, seed=0):
    """This gives a serialized tf.train.Example: noise at 16 kHz in `audio`, and the name in `id`."""
    return to_example({"audio": wav(seed, seconds), "id": name})


def write(path, records):
    """This writes a TFRecord file, and makes its folder where there is none.

    It gives what a shard's report says of the file: `num_records`, `size` in bytes, and `crc32c` of all its bytes.
    """
    # Importing this takes Beam, which is slow, and conftest.py imports this module before any test.
    from melbeam.pipelines.tfrecord import TFRecordWriter

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        writer = TFRecordWriter(file)
        for record in records:
            writer.write(record)
    return {"num_records": writer.num_records, "size": writer.num_bytes, "crc32c": writer.crc32c}


def compress_features(folder):
    """This stores a folder's features anew as TFDS does a tensor whose encoding is zlib, with an index of them."""
    from melbeam.pipelines import index
    from melbeam.pipelines.tfrecord import read_tfrecord_file
    from melbeam.transforms.records.example_proto import Example

    for path in folder.glob("*.tfrecord"):
        examples = [Example.FromString(item.data) for item in read_tfrecord_file(str(path))]
        for example in examples:
            values = example.features.feature["input_features"].bytes_list.value
            values[0] = zlib.compress(values[0])
        write(path, [example.SerializeToString() for example in examples])
    described = json.loads((folder / "features.json").read_text())
    described["featuresDict"]["features"]["input_features"]["tensor"]["encoding"] = "zlib"
    (folder / "features.json").write_text(json.dumps(described))
    assert index.main([str(folder), "--overwrite"]) == 0


def run(job, *arguments):
    """This runs a job's `main` in this process; the text is its stdout and its stderr as they came."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            status = job.main([str(argument) for argument in arguments])
        except SystemExit as left:
            status = left.code
    return Job(status, said.getvalue())


def which_file(path):
    """It stays while the file does, renamed or not; the time is in it since a free inode is given again."""
    found = os.stat(path)
    return found.st_ino, found.st_mtime_ns


def tree(folder, pattern="*"):
    """This gives the bytes of every file at any depth whose name fits the pattern, by path in the folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob(pattern)) if p.is_file()}


class Block(NamedTuple):
    """A command or a program of a page."""

    language: str
    code: str
    said: dict


def blocks(page):
    """This gives a page's blocks, in order."""
    found = []
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        name, _, value = (match["said"] or "").partition(": ")
        assert name in ("", "needs", "status", "run"), match["said"]
        found.append(Block(match["language"], match["code"], {name: value}))
    return found


def encode_with_libav(samples: np.ndarray, rate: int, muxer: str, encoder: str, **options: str) -> bytes:
    """A file of FFmpeg's muxer and encoder of those names, through PyAV; `[num_samples]` or `[num_samples, 2]`."""
    import av

    layout = "mono" if samples.ndim == 1 else "stereo"
    # In a file, as some muxers read again what they wrote.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip"
        _mux(av, path, samples, rate, layout, muxer, encoder, options)
        return path.read_bytes()


def _mux(av, path, samples, rate, layout, muxer, encoder, options):
    with av.open(str(path), "w", format=muxer, options=options) as container:
        stream = container.add_stream(encoder, rate=rate)
        stream.layout = layout
        bits_a_second = {"wmav2": 48000, "libopencore_amrnb": 12200}.get(encoder)
        if bits_a_second is not None:
            stream.bit_rate = bits_a_second
        frame = av.AudioFrame.from_ndarray(
            samples.reshape(len(samples), -1).T.copy(), format="fltp", layout=layout
        )
        frame.sample_rate, frame.pts = rate, 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
