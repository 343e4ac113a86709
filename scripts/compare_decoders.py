"""Compares what comes in of real-looking files with independent decoders: python scripts/compare_decoders.py

It makes files of speech, music and noise with the encoders that are installed (encoder_commands.py), decodes each
as `extract` does, and holds length and samples against the clip that went in and against other programs' decodes.
It prints a table and exits with 1 if a file was accepted with a length that is not its own. Programs that are not
installed are named. `--format=MP3` takes the families whose names contain that, `--list` prints each file,
`--keep=FOLDER` keeps the files.
"""

from __future__ import annotations

import argparse
import shutil
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import encoder_commands
import numpy as np
import soundfile
from encoder_commands import Family, Reader, Way

from melbeam.transforms.records.decoding import decode_audio
from melbeam.transforms.records.rejects import Reject

MAX_SHIFT = 4096  # samples by which a decoder may be earlier or later
PLACE = slice(2000, 12_000)  # samples by which that is found


@dataclass
class Row:
    """What was seen of one family's files."""

    files: int = 0
    encoders: set[str] = field(default_factory=set)
    accepted: int = 0
    rejected: Counter = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    compared: dict[str, list[tuple[int, int, float]]] = field(default_factory=dict)
    """By decoder: its length less ours, its place less ours, and the largest difference of a sample."""


def sound(kind: str, rate: int, channels: int) -> np.ndarray:
    """float `[num_samples, channels]`, below half of full scale, of a length that is no multiple of a frame."""
    seconds = 1.737 + rate / 131_071
    num_samples = round(seconds * rate)
    time = np.arange(num_samples) / rate
    random = np.random.default_rng(rate + channels)
    if kind == "speech":
        clips = resources.files("melbeam.pipelines.demo_clips")
        path = sorted(clip.name for clip in clips.iterdir() if clip.name[0] == "0")[rate // 1000 % 8]
        audio = decode_audio((clips / path).read_bytes(), sampling_rate=rate).samples
        mono = np.resize(audio, num_samples) * 0.5
    elif kind == "music":
        notes = (220 * 2 ** (np.array([0, 4, 7, 12]) / 12))[:, np.newaxis]
        glide = np.sin(2 * np.pi * notes * (time + 0.05 * time**2)) * np.exp(-3 * (time % 0.5))
        mono = 0.1 * glide.sum(axis=0) + 0.01 * random.standard_normal(num_samples)
    else:
        mono = 0.1 * random.standard_normal(num_samples)
    others = [np.roll(mono, 37 * channel) * 0.8**channel for channel in range(channels)]
    return np.clip(np.stack(others, axis=1), -0.9, 0.9)


def run(command: str, folder: Path) -> str | None:
    """Runs a command in a folder; gives what it says if it fails, else None."""
    ran = subprocess.run(
        command, shell=True, cwd=folder, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
    )
    return f"{ran.stdout[-300:]}{ran.stderr[-300:]}" or f"status {ran.returncode}" if ran.returncode else None


def programs(command: str) -> list[str]:
    """The programs that a command runs."""
    found, is_first = [], True
    for word in command.replace("'", " ").split():
        if word in ("|", "&&", "||"):
            is_first = True
        elif is_first and word not in ("sh", "-c"):
            found.append(word)
            is_first = False
    return [word for word in found if word not in ("cat", "python:")]


def write_valid_bits(path: Path, samples: np.ndarray, rate: int, bits: int) -> None:
    """A WAV of WAVEFORMATEXTENSIBLE, which says how many of a sample's bits are valid."""
    width = (bits + 7) // 8
    values = np.rint(samples * 2 ** (bits - 1)).astype(np.int64) << (8 * width - bits)
    raw = values.astype("<i8").view(np.uint8).reshape(*values.shape, 8)[..., :width].tobytes()
    channels = samples.shape[1]
    size = width * channels
    guid = bytes.fromhex("0100000000001000800000aa00389b71")
    form = struct.pack(
        "<HHIIHHHHI", 0xFFFE, channels, rate, rate * size, size, 8 * width, 22, bits, (1 << channels) - 1
    )
    chunks = b"WAVEfmt " + struct.pack("<I", len(form + guid)) + form + guid
    chunks += b"data" + struct.pack("<I", len(raw)) + raw + b"\0" * (len(raw) % 2)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)


def make(way: Way, clip: tuple[str, int, int], folder: Path) -> str | None:
    """Makes `clip.wav` and `out`; gives what an encoder says that fails, else None."""
    kind, rate, channels = clip
    samples = sound(kind, rate, channels)
    soundfile.write(folder / "clip.wav", samples, rate, subtype="PCM_16")
    command = way.command
    if command.startswith("python: "):
        what, _, command = command.removeprefix("python: ").partition(", ")
        name, *words = what.split()
        if name == "libsndfile":
            soundfile.write(folder / "out", samples, rate, format=words[0], subtype=words[1])
        elif name == "PyAV":
            write_with_pyav(folder / "out", samples, rate, *words)
        elif name == "valid":
            write_valid_bits(folder / ("clip.wav" if command else "out"), samples, rate, int(words[1]))
        else:  # two files, one behind the other
            half = len(samples) // 2
            pieces = []
            for piece in (samples[:half], samples[half:]):
                soundfile.write(folder / "clip.wav", piece, rate, subtype="PCM_16")
                failed = run(what.removeprefix("chained "), folder)
                if failed:
                    return failed
                pieces.append((folder / "out").read_bytes())
            (folder / "out").write_bytes(b"".join(pieces))
            soundfile.write(folder / "clip.wav", samples, rate, subtype="PCM_16")
    failed = run(command, folder) if command else None
    if failed:
        return failed
    if way.edit is not None:
        (folder / "out").write_bytes(way.edit((folder / "out").read_bytes()))
    return None


def write_with_pyav(
    path: Path, samples: np.ndarray, rate: int, muxer: str, encoder: str, bits_a_second: str = "64000"
) -> None:
    """Encodes with the libraries in PyAV's wheel."""
    import av

    layout = "mono" if samples.shape[1] == 1 else "stereo"
    with av.open(str(path), "w", format=muxer) as container:
        stream = container.add_stream(encoder, rate=rate, layout=layout)
        stream.bit_rate = int(bits_a_second)
        frame = av.AudioFrame.from_ndarray(samples.T.astype(np.float32).copy(), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def read(reader: Reader, folder: Path) -> tuple[np.ndarray, int] | str:
    """Mono samples of a decoder, and Hz; what it says, where it gives none."""
    (folder / "decoded.wav").unlink(missing_ok=True)
    failed = run(reader.command, folder)
    try:
        samples, rate = soundfile.read(folder / "decoded.wav", dtype="float64", always_2d=True)
    except soundfile.SoundFileError as error:
        return failed or str(error)
    return samples.mean(axis=1), rate


def place_of(theirs: np.ndarray, ours: np.ndarray) -> int:
    """By how many samples a decode is later than ours: where the squares of their differences are least."""
    piece = ours[PLACE]
    size = len(piece) + 2 * MAX_SHIFT
    start = PLACE.start - MAX_SHIFT
    padded = np.pad(theirs, (max(0, -start), size))[max(0, start) :][:size]
    spectrum = np.fft.rfft(padded, 2 * size) * np.conj(np.fft.rfft(piece, 2 * size))
    products = np.fft.irfft(spectrum)[: 2 * MAX_SHIFT]
    squares = np.concatenate([[0], np.cumsum(padded**2)])
    energies = squares[len(piece) : len(piece) + 2 * MAX_SHIFT] - squares[: 2 * MAX_SHIFT]
    return int(np.argmin(energies - 2 * products)) - MAX_SHIFT


def compare(theirs: np.ndarray, ours: np.ndarray) -> tuple[int, int, float]:
    """Length and place of another decode less ours, and the largest difference of a sample between them."""
    place = place_of(theirs, ours)
    start = max(0, -place)
    length = min(len(ours) - start, len(theirs) - max(0, place))
    error = theirs[max(0, place) :][:length] - ours[start:][:length]
    return len(theirs) - len(ours), place, float(np.abs(error).max(initial=0))


def check(way: Way, clip: tuple[str, int, int], family: Family, row: Row, folder: Path, missing: set[str]) -> str:
    """Makes one file and holds its decode against the others'; gives a line that says what was found."""
    label = f"{clip[0]} {clip[1]} Hz {clip[2]} ch: {way.command}"
    absent = [program for program in programs(way.command) if shutil.which(program) is None]
    if absent:
        missing.update(absent)
        return f"no {absent[0]}: {label}"
    failed = make(way, clip, folder)
    if failed is not None:
        return f"not made: {label}: {failed}"
    row.files += 1
    row.encoders.add(encoder_of(way.command))
    data = (folder / "out").read_bytes()
    num_samples = len(sound(*clip))
    rate = 48000 if family.name == "Ogg Opus" else clip[1]
    try:
        audio = decode_audio(data, sampling_rate=rate)
    except Reject as reject:
        row.rejected[reject.detail] += 1
        return f"REJECTED {label}: {reject.detail}"
    expected = round(num_samples * rate / clip[1])
    longer = len(audio.samples) - expected
    rounding = 0 if rate == clip[1] else 3  # of a resampling encoder
    said, lengths = [f"{longer:+}"], []
    for reader in family.readers:
        name = programs(reader.command)[0]
        if shutil.which(name) is None:
            missing.add(name)
            continue
        found = read(reader, folder)
        if isinstance(found, str):
            said.append(f"{name} fails: {found}")
            continue
        theirs, their_rate = found
        ours = decode_audio(data, sampling_rate=their_rate).samples
        length, place, error = compare(theirs, ours.astype(np.float64))
        lengths.append(length)
        row.compared.setdefault(name, []).append((length, place, error))
        said.append(f"{name} {length:+} at {place:+} by {error:.2g}{' !' if error > reader.bound else ''}")
    # An encoder may itself drop samples, or say of its padding that it is audio: then other decoders give as many.
    is_right = -way.shorter - rounding <= longer <= way.longer + rounding or lengths.count(0) > 1
    row.accepted += is_right
    line = f"{'' if is_right else 'WRONG '}{label}: {', '.join(said)}"
    if not is_right:
        row.wrong.append(line)
    return line


def encoder_of(command: str) -> str:
    """The name of what encodes, for the table."""
    if command.startswith("python: "):
        what, _, behind = command.removeprefix("python: ").partition(", ")
        first, second = what.split()[:2]
        if behind:
            return programs(behind)[0]
        return {"valid": "by hand", "chained": second}.get(first, first)
    name = programs(command)[0]
    return "GStreamer" if name.startswith("gst") else name


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", default="", help="a part of the names of the families to take")
    parser.add_argument("--list", action="store_true", help="print each file")
    parser.add_argument("--keep", type=Path, help="a folder that keeps the files")
    arguments = parser.parse_args()
    missing: set[str] = set()
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_pictures(folder)
        for family in encoder_commands.FAMILIES:
            if arguments.format.lower() not in family.name.lower():
                continue
            row = rows[family.name] = Row()
            files = [(way, clip) for way in family.ways for clip in way.clips]
            for number, (way, clip) in enumerate(files):
                line = check(way, clip, family, row, folder, missing)
                if arguments.list or row.wrong[-1:] == [line]:
                    print(line, flush=True)
                if arguments.keep is not None and (folder / "out").exists():
                    target = arguments.keep / family.name.split(",")[0].replace(" ", "_") / f"{number:03}"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(folder / "out", target)
                (folder / "out").unlink(missing_ok=True)
    print(table(rows))
    if missing:
        print(f"\nNot installed: {', '.join(sorted(missing))}", file=sys.stderr)
    return int(any(row.wrong for row in rows.values()))


def make_pictures(folder: Path) -> None:
    """A small picture of each kind, for covers."""
    if shutil.which("ffmpeg"):
        for ending in ("png", "jpg"):
            run(f"ffmpeg -y -loglevel error -f lavfi -i color=red:64x64 -frames:v 1 picture.{ending}", folder)


def table(rows: dict[str, Row]) -> str:
    """Markdown: of each decoder, how many files have the length that ours has, and begin where ours begins."""
    lines = [
        "| format | files | encoders | accepted with its length | rejected | with another | other decoders |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        others = []
        for decoder, found in row.compared.items():
            equal = sum(length == place == 0 for length, place, _ in found)
            others.append(f"{decoder} {equal} of {len(found)}")
        cells = (
            name,
            row.files,
            ", ".join(sorted(row.encoders)),
            row.accepted,
            sum(row.rejected.values()),
            len(row.wrong),
            ", ".join(others),
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
