"""melbeam demo: what melbeam does, offline, on the package's spoken clips and on some that go wrong."""

from __future__ import annotations

import argparse
import csv
import glob
import os
import shutil
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from melbeam.pipelines import extract, rejects, report, retry_rejects, words
from melbeam.pipelines.command import Command
from melbeam.pipelines.exit_status import EXIT_OK, leave_with
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.transforms.folder_layout import REPORT_PAGE
from melbeam.transforms.front_end import DEFAULT_FRONT_END, FrontEnd

if TYPE_CHECKING:
    from melbeam.pipelines.split.reports import SplitSummary

DESCRIPTION = (
    "Takes the spoken clips that come with the package, and one clip of each kind that is turned away, from a "
    "manifest to features and into tf.data; says why clips were turned away and what to do, and writes the report."
)
# A clip of the package's that is written once more without its end, with a transcript as if it were whole.
CUT, CUT_CLIP = "02-river.flac", "09-cut.flac"
TOO_LONG, CLICK, UNTOLD, GONE = "10-too-long.flac", "11-click.wav", "12-no-text.wav", "13-gone.wav"
_MORE_THAN_TAKEN = 1.2  # times what the front end takes: the clip that is too long
_CLICK_SECONDS = 0.005
MARKER = ".melbeam-demo"  # in a folder that a demo made, and may therefore write again
_MARKER_TEXT = "melbeam demo made this folder, and writes its own files here anew when it runs again.\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of demo."""
    parser.add_argument(
        "--output", default="melbeam-demo", help="the folder to write: a new one, or that of an earlier demo"
    )


def run(arguments: argparse.Namespace, _: list[str]) -> int:
    """Runs the chain and prints what was made; gives the exit status.

    Raises:
        UsageError: the folder holds something that no demo made.
    """
    output = Path(arguments.output)
    claim_folder(output)
    features = output / "features" / "1.0.0"
    manifest = _write_corpus(output / "clips")

    print("1. a manifest of clips and their transcripts -> features (melbeam extract); five are bad, on purpose")
    status = extract.main(
        [
            f"--input={glob.escape(str(manifest))}",
            f"--output={features}",
            "--require=text",
            "--max_reject_fraction=0.5",
            "--overwrite",
        ]
    )
    if status != EXIT_OK:
        return status
    print("\n2. what was turned away, why, and what to do (melbeam rejects)")
    status = rejects.main([str(features), "--split=train"])
    if status != EXIT_OK:
        return status
    print("\n3. those once more, the long one in chunks (melbeam retry-rejects --on_long=chunk)")
    status = retry_rejects.main([str(features), "--on_long=chunk", "--max_reject_fraction=1", "--overwrite"])
    if status != EXIT_OK:
        return status
    print("\n4. feature TFRecords -> tf.data (read_features)")
    picture = _show(output, features)
    print("\n5. all of it as one page (melbeam report)")
    page = _report(features)
    _tell(output, features, picture, page)
    return EXIT_OK


def claim_folder(output: Path) -> None:
    """Makes the folder the demo's own, by a marker file in it.

    Raises:
        UsageError: it holds something that no demo made.
    """
    if output.exists() and not output.is_dir():
        raise UsageError(
            Refusal.OUTPUT_IS_A_FILE, f"--output={output} is a file: name a folder that is not there yet"
        )
    marker = output / MARKER
    if output.is_dir() and any(output.iterdir()) and not marker.is_file():
        raise UsageError(
            Refusal.FOREIGN_FILES,
            f"--output={output} holds files that no demo made, and the demo touches none of those: "
            "name a folder that is not there yet",
        )
    output.mkdir(parents=True, exist_ok=True)
    marker.write_text(_MARKER_TEXT, encoding="utf-8")


def _write_corpus(folder: Path) -> Path:
    """Writes the package's clips, and those that are turned away, and gives the manifest of them all."""
    folder.mkdir(exist_ok=True)
    clips = resources.files("melbeam.pipelines.demo_clips")
    with (clips / "transcripts.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        (folder / row["file"]).write_bytes((clips / row["file"]).read_bytes())
    rows += _write_bad_clips(folder, {row["file"]: row["text"] for row in rows})
    manifest = folder / "transcripts.csv"
    with manifest.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ("file", "text"))
        writer.writeheader()
        writer.writerows(rows)
    return manifest


def _write_bad_clips(folder: Path, texts: dict[str, str]) -> list[dict[str, str]]:
    """Writes a clip of each common kind that is turned away; gives their rows of the manifest."""
    import numpy as np
    import soundfile

    whole = (folder / CUT).read_bytes()
    (folder / CUT_CLIP).write_bytes(whole[: len(whole) // 2])
    samples, rate = soundfile.read(folder / CUT, dtype="int16")
    longest = FrontEnd.load(DEFAULT_FRONT_END).max_audio_length or 0.0
    times = int(_MORE_THAN_TAKEN * longest * rate / len(samples)) + 1
    soundfile.write(folder / TOO_LONG, np.tile(samples, times), rate)
    soundfile.write(folder / CLICK, samples[: int(_CLICK_SECONDS * rate)], rate)
    soundfile.write(folder / UNTOLD, samples, rate)
    (folder / GONE).unlink(missing_ok=True)
    return [
        {"file": CUT_CLIP, "text": texts[CUT]},
        {"file": TOO_LONG, "text": " ".join([texts[CUT]] * times)},
        {"file": CLICK, "text": "Click."},
        {"file": UNTOLD, "text": ""},
        {"file": GONE, "text": "This clip is not there."},
    ]


def _show(output: Path, features: Path) -> str:
    """Reads the features as a training job would, and draws one clip; says what the picture is."""
    from melbeam.transforms.reading.dataset import read_features  # imports TensorFlow

    for batch in read_features(features, batch_size=4):
        print(f"a batch of {len(batch['id'])} clips: input_features {tuple(batch['input_features'].shape)}")
    first = next(iter(read_features(features)))
    print(f'the first: {first["id"].numpy().decode()}, "{first["text"].numpy().decode()}"')
    return _draw(first["input_features"].numpy(), first["id"].numpy().decode(), output / "log-mel.png")


def _draw(features: Any, clip_id: str, path: Path) -> str:
    """Draws one clip's features; says what the picture is, or how to get one."""
    try:
        from melbeam.transforms.plots import spectrogram
    except ImportError:
        return "not drawn: pip install 'melbeam[demo]'"
    title = f"{clip_id}: log-mel features, front end {DEFAULT_FRONT_END}"
    figure = spectrogram(features, FrontEnd.load(DEFAULT_FRONT_END), title=title)
    figure.savefig(path, dpi=130, facecolor="white")
    return f"the features of {clip_id}"


def _report(features: Path) -> str:
    """Makes the report; says what it is, or how to get one."""
    if report.main([str(features), "--audio"]) != EXIT_OK:
        return "not made: pip install 'melbeam[demo]'"
    return "what there is to see and hear of it: open it in a browser"


def _tell(output: Path, features: Path, picture: str, page: str) -> None:
    """Tells what was made, and what to type next."""
    made, again = (_summary(features, split) for split in ("train", "train_retried"))
    seconds = words.duration(made.num_samples / FrontEnd.load(DEFAULT_FRONT_END).sampling_rate)
    # `make demo` installs into .venv, which is not on the PATH.
    prefix = "" if shutil.which("melbeam") else f"{os.path.dirname(sys.argv[0])}/"
    print(
        f"\nMade in {output}:\n"
        f"  features/1.0.0/             train: {words.count(made.num_features, 'clip')}, {seconds}, as log-mel "
        f"features; {words.count(made.num_rejects, 'reject')}\n"
        f"                              train_retried: {words.count(again.num_features, 'chunk')} of the clip "
        "that was too long\n"
        f"  features/1.0.0/{REPORT_PAGE}  {page}\n"
        f"  log-mel.png                 {picture}\n\n"
        "Nearly all of the time went into starting; `make bench` measures the speed on 12 hours of audio.\n\n"
        "Next, with your own files:\n"
        f"  {prefix}melbeam extract --input='my-clips/**' --output=my-features/1.0.0\n"
        f"  {prefix}melbeam report my-features/1.0.0\n"
        f'  {prefix}python -c "from melbeam.transforms import read_features; '
        "print(read_features('my-features/1.0.0'))\""
    )


def _summary(features: Path, split: str) -> SplitSummary:
    from melbeam.pipelines.split.reports import SplitSummary  # imports Beam

    return SplitSummary.load(str(features), split)


COMMAND = Command("demo", DESCRIPTION, add_arguments, run, takes_beam_options=False)
main = COMMAND.main


if __name__ == "__main__":
    leave_with(main)
