"""melbeam demo: the whole chain on the spoken clips that come with the package, offline."""

from __future__ import annotations

import argparse
import glob
import os
import shutil
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from melbeam.pipelines import extract, ingest, words
from melbeam.pipelines.command import Command
from melbeam.pipelines.exit_status import EXIT_OK, UsageError, leave_with
from melbeam.pipelines.sources.endings import ENDINGS
from melbeam.transforms.front_end import DEFAULT_FRONT_END, FrontEnd

DESCRIPTION = "Clips -> audio TFRecords -> features -> tf.data, on spoken clips that come with the package."
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
    clips = _write_clips(output / "clips")

    print("1. clips -> audio TFRecords (melbeam ingest)")
    inputs = [f"--input={glob.escape(str(clip))}" for clip in clips]
    status = ingest.main([*inputs, f"--output={audio}", "--num_shards=2", "--overwrite"])
    if status != EXIT_OK:
        return status
    print("2. audio TFRecords -> feature TFRecords (melbeam extract)")
    status = extract.main([f"--input={glob.escape(str(audio))}/train-*", f"--output={features}", "--overwrite"])
    if status != EXIT_OK:
        return status
    print("3. feature TFRecords -> tf.data (read_features)")
    _show(output, features)
    return EXIT_OK


def claim_folder(output: Path) -> None:
    """Makes the folder the demo's own, by a marker file in it.

    Raises:
        UsageError: it holds something that no demo made.
    """
    if output.exists() and not output.is_dir():
        raise UsageError(f"--output={output} is a file: name a folder that is not there yet")
    marker = output / MARKER
    if output.is_dir() and any(output.iterdir()) and not marker.is_file():
        raise UsageError(
            f"--output={output} holds files that no demo made, and the demo touches none of those: "
            "name a folder that is not there yet"
        )
    output.mkdir(parents=True, exist_ok=True)
    marker.write_text(_MARKER_TEXT, encoding="utf-8")


def _write_clips(folder: Path) -> list[Path]:
    """The package's clips, written below the folder."""
    folder.mkdir(exist_ok=True)
    clips = []
    for clip in resources.files("melbeam.pipelines.demo_clips").iterdir():
        if clip.name.endswith(ENDINGS):
            clips.append(folder / clip.name)
            clips[-1].write_bytes(clip.read_bytes())
    return clips


def _show(output: Path, features: Path) -> None:
    """Reads the features as a training job would, draws one clip, and tells what was made."""
    from melbeam.pipelines import files
    from melbeam.pipelines.split.reports import SplitSummary
    from melbeam.transforms.folder_layout import SplitFolder
    from melbeam.transforms.reading.dataset import read_features  # imports TensorFlow

    for batch in read_features(features, batch_size=4):
        print(f"   a batch of {len(batch['id'])} clips: input_features {tuple(batch['input_features'].shape)}")
    first = next(iter(read_features(features)))
    picture = output / "log-mel.png"
    drawn = _draw(first["input_features"].numpy(), first["id"].numpy().decode(), picture)

    summary = SplitSummary.from_dict(files.read_json(SplitFolder(str(features), "train").summary))
    # `make demo` installs into .venv, which is not on the PATH.
    prefix = "" if shutil.which("melbeam") else f"{os.path.dirname(sys.argv[0])}/"
    reasons = "".join(f", {count} {reason}" for reason, count in sorted(summary.rejects.items()))
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
