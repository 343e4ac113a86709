"""A corpus of every kind of clip that a report has words for, with hostile text wherever text can stand."""

import csv
import json
from importlib import resources

import numpy as np
import soundfile
import soxr

from helpers import RATE, encode, run
from melbeam.pipelines import extract

HOSTILE = (
    "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">'\"&amp;</p></style>"
)
RIGHT_TO_LEFT = "\u202etxet desrever \u05e9\u05dc\u05d5\u05dd"
UNBROKEN = "long" * 90
CJK = "天气很好，我们去公园散步吧。" * 3
LONG = "And then they said the very same thing once more, slowly. " * 40


def speech():
    """This gives the package's spoken clips, float32 at 16 kHz, with their texts."""
    folder = resources.files("melbeam.pipelines.demo_clips")
    with (folder / "transcripts.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            with resources.as_file(folder / row["file"]) as path:
                samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
            yield soxr.resample(samples.mean(axis=1), rate, RATE), row["text"]


def clips(copies):
    """This gives name, bytes of a file, and text: spoken clips as they are, and each kind that goes wrong."""
    spoken, random = list(speech()), np.random.default_rng(0)
    for number in range(copies):
        samples, text = spoken[number % len(spoken)]
        gain = 10 ** (random.normal(-4, 5) / 20)
        rest = int(RATE * random.exponential(0.7))
        yield f"spoken-{number:03d}", encode(np.pad(np.clip(gain * samples, -1, 1), (0, rest))), text
    samples, text = spoken[0]
    other, other_text = spoken[1]
    for name, odd, said in (
        (f"silent {HOSTILE}", np.zeros(2 * RATE, np.float32), HOSTILE),
        ("whispered", 0.0005 * samples, text),
        ("clipped", np.clip(12 * samples, -1, 1), text),
        ("a tone", 0.1 * np.sin(np.arange(3 * RATE) / 5), LONG),
        ("short", samples[:4000], "Hm."),
        (f"{UNBROKEN}", np.concatenate([samples, np.zeros(40 * RATE // 2)]), UNBROKEN[:60]),
        (RIGHT_TO_LEFT, samples, RIGHT_TO_LEFT),
        ("中文", other, CJK),
        ("a lot of text", other, other_text * 4),
        ("no text", other, ""),
        ("too long", np.tile(samples, 9)[: 31 * RATE], text),
    ):
        yield name, encode(np.clip(odd, -1, 1)), said
    whole = encode(samples, kind="FLAC")
    yield "cut", whole[: len(whole) // 2], text
    yield "no audio at all", b"<html>404</html>", text


def make_folder(folder, *, copies=60, front_end_name=HOSTILE, hostile=True):
    """This extracts the corpus into `folder`/features, and gives that folder's path."""
    audio = folder / ("audio <b>&'\"" if hostile else "audio")
    audio.mkdir(parents=True)
    rows = []
    for number, (name, data, text) in enumerate(clips(copies)):
        (audio / f"{number:03d}.bin").write_bytes(data)
        row = {"audio": f"{number:03d}.bin", "id": name, "text": text, "speaker": HOSTILE if hostile else "anna"}
        rows.append({key: value for key, value in row.items() if value})
    rows.append({"audio": "gone.wav", "id": f"gone {HOSTILE}", "text": "Nothing."})
    manifest = audio / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    front_end = folder / "front_end.yaml"
    shipped = (resources.files("melbeam.configs") / "front_ends" / "gemma4.yaml").read_text(encoding="utf-8")
    lines = [line for line in shipped.splitlines() if not line.startswith("name:")]
    front_end.write_text("\n".join([f"name: {json.dumps(front_end_name)}", *lines]), encoding="utf-8")
    output = folder / ("features <i>&'\"" if hostile else "features")
    ran = run(
        extract,
        f"--input={manifest}",
        f"--output={output}",
        f"--front_end={front_end}",
        "--max_reject_fraction=1",
        "--shard_bytes=1000000",
    )
    assert ran.status == 0, ran.text
    return output


def tamper(output):
    """This puts hostile text into what a split's summary says, where a job writes none."""
    path = output / "_melbeam/train/summary.json"
    summary = json.loads(path.read_text())
    summary["versions"] = {**summary["versions"], HOSTILE: [HOSTILE, "2"]}
    summary["rejects"][HOSTILE] = 1
    summary["records_read"] += 1
    summary["changes"][HOSTILE] = 3
    summary["named_ids"][HOSTILE] = [HOSTILE, RIGHT_TO_LEFT, "\x00\x1b[31m\ud800"]
    path.write_text(json.dumps(summary))
