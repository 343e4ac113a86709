"""melbeam demo: the whole chain, offline, on the package's spoken clips and one that is cut."""

from __future__ import annotations

import argparse
import csv
import glob
import os
import shutil
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from melbeam.pipelines import extract, ingest, rejects, words
from melbeam.pipelines.command import Command
from melbeam.pipelines.exit_status import EXIT_OK, leave_with
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.transforms.front_end import DEFAULT_FRONT_END, FrontEnd

DESCRIPTION = "Clips -> audio TFRecords -> features -> tf.data, on spoken clips that come with the package."
# A clip of the package's that is written once more without its end, with a transcript as if it were whole.
CUT, CUT_CLIP = "02-river.flac", "09-cut.flac"
MARKER = ".melbeam-demo"  # in a folder that a demo made, and may therefore write again
_MARKER_TEXT = "melbeam demo made this folder, and writes its own files here anew when it runs again.\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of demo."""
    parser.add_argument(
        "--output", default="melbeam-demo", help="folder to write: a new one, or that of an earlier demo"
    )


def run(arguments: argparse.Namespace, _: list[str]) -> int:
    """Runs the chain and prints what was made; gives the exit status.

    Raises:
        UsageError: the folder holds something that no demo made.
    """
    output = Path(arguments.output)
    claim_folder(output)
    audio, features = output / "audio", output / "features" / "1.0.0"
    manifest = _write_corpus(output / "clips")

    print("1. clips and their transcripts -> audio TFRecords (melbeam ingest)")
    status = ingest.main(
        [f"--input={glob.escape(str(manifest))}", f"--output={audio}", "--num_shards=2", "--overwrite"]
    )
    if status != EXIT_OK:
        return status
    print("\n2. audio TFRecords -> feature TFRecords (melbeam extract); one clip is cut, on purpose")
    status = extract.main(
        [
            f"--input={glob.escape(str(audio))}/train-*",
            f"--output={features}",
            "--max_reject_fraction=0.2",
            "--overwrite",
        ]
    )
    if status != EXIT_OK:
        return status
    print("\n3. what was turned away (melbeam rejects)")
    status = rejects.main([str(features)])
    if status != EXIT_OK:
        return status
    print("\n4. feature TFRecords -> tf.data (read_features)")
    _show(output, features)
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
    """Writes the package's clips, one of them cut as well, and gives the manifest of them all."""
    folder.mkdir(exist_ok=True)
    clips = resources.files("melbeam.pipelines.demo_clips")
    with (clips / "transcripts.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        (folder / row["file"]).write_bytes((clips / row["file"]).read_bytes())
    whole = (folder / CUT).read_bytes()
    (folder / CUT_CLIP).write_bytes(whole[: len(whole) // 2])
    rows += [{"file": CUT_CLIP, "text": row["text"]} for row in rows if row["file"] == CUT]
    manifest = folder / "transcripts.csv"
    with manifest.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ("file", "text"))
        writer.writeheader()
        writer.writerows(rows)
    return manifest


def _show(output: Path, features: Path) -> None:
    """Reads the features as a training job would, draws one clip, and tells what was made."""
    from melbeam.pipelines.split.reports import SplitSummary
    from melbeam.transforms.folder_layout import SplitFolder
    from melbeam.transforms.reading.dataset import read_features  # imports TensorFlow

    for batch in read_features(features, batch_size=4):
        print(f"a batch of {len(batch['id'])} clips: input_features {tuple(batch['input_features'].shape)}")
    first = next(iter(read_features(features)))
    print(f'the first: {first["id"].numpy().decode()}, "{first["text"].numpy().decode()}"')
    picture = output / "log-mel.png"
    drawn = _draw(first["input_features"].numpy(), first["id"].numpy().decode(), picture)

    summary = SplitSummary.read(SplitFolder(str(features), "train").summary)
    # `make demo` installs into .venv, which is not on the PATH.
    prefix = "" if shutil.which("melbeam") else f"{os.path.dirname(sys.argv[0])}/"
    reasons = f" ({', '.join(sorted(summary.rejects))})" if summary.rejects else ""
    seconds = words.duration(summary.num_samples / FrontEnd.load(DEFAULT_FRONT_END).sampling_rate)
    print(
        f"\nMade in {output}:\n"
        f"  audio/           {words.count(summary.records_read, 'clip')} as audio TFRecords\n"
        f"  features/1.0.0/  {words.count(summary.num_features, 'clip')}, {seconds}, as log-mel features; "
        f"{words.count(summary.num_rejects, 'reject')}{reasons}\n"
        f"  log-mel.png      {drawn}\n\n"
        "Nearly all of the time went into starting; `make bench` measures the speed on 12 hours of audio.\n\n"
        "Next:\n"
        f"  {prefix}melbeam ingest  --input='my-clips/**' --output=my-audio\n"
        f"  {prefix}melbeam extract --input='my-audio/train-*' --output=my-features/1.0.0\n"
        f'  {prefix}python -c "from melbeam.transforms import read_features; '
        f"print(read_features('{features}'))\""
    )


def _draw(features: Any, clip_id: str, path: Path) -> str:
    """Draws one clip's features; says what the picture is, or how to get one."""
    try:
        from matplotlib import pyplot
    except ImportError:
        return "not drawn: pip install 'melbeam[demo]'"
    pyplot.switch_backend("Agg")
    figure, axes = pyplot.subplots(figsize=(9, 3.6), layout="constrained")
    image = axes.imshow(
        features.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        extent=(0, len(features) / 100, 0, features.shape[1]),
    )
    axes.set(
        title=f"{clip_id}: log-mel features, front end {DEFAULT_FRONT_END}", xlabel="seconds", ylabel="mel bin"
    )
    figure.colorbar(image, label="ln(mel + floor)")
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return f"the features of {clip_id}"


COMMAND = Command("demo", DESCRIPTION, add_arguments, run, takes_beam_options=False)
main = COMMAND.main


if __name__ == "__main__":
    leave_with(main)
