"""melbeam demo: the whole chain on the spoken clips that come with the package, offline."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from melbeam.pipelines import extract, files, ingest, options
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.front_end import FrontEnd

DESCRIPTION = "Clips -> audio TFRecords -> features -> tf.data, on spoken clips that come with the package."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of demo."""
    parser.add_argument("--output", default="melbeam-demo", help="folder to write; an earlier demo is replaced")


def run(arguments: argparse.Namespace, _: list[str]) -> int:
    """Runs the chain and prints what was made; gives the exit status."""
    output = Path(arguments.output)
    clips, audio, features = output / "clips", output / "audio", output / "features" / "1.0.0"
    for folder in (clips, audio, output / "features"):
        shutil.rmtree(folder, ignore_errors=True)
    clips.mkdir(parents=True)
    for clip in resources.files("melbeam.pipelines.demo_clips").iterdir():
        if clip.name.endswith(ingest.EXTENSIONS):
            (clips / clip.name).write_bytes(clip.read_bytes())

    print("1. clips -> audio TFRecords (melbeam ingest)")
    status = ingest.main([f"--input={clips}/*", f"--output={audio}", "--num_shards=2"])
    if status != options.EXIT_OK:
        return status
    print("2. audio TFRecords -> feature TFRecords (melbeam extract)")
    start = time.monotonic()
    status = extract.main([f"--input={audio}/train-*", f"--output={features}"])
    elapsed = time.monotonic() - start
    if status != options.EXIT_OK:
        return status
    print("3. feature TFRecords -> tf.data (read_features)")
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
    seconds = summary.num_samples / FrontEnd.load("gemma4").sampling_rate
    print(
        f"\nMade in {output}:\n"
        f"  audio/           {summary.records_read} clips as audio TFRecords\n"
        f"  features/1.0.0/  {summary.num_features} clips, {seconds:.1f} s, as log-mel features; "
        f"{summary.num_rejects} rejects{reasons}\n"
        f"  log-mel.png      {drawn}\n\n"
        f"Speed: {seconds / elapsed:.0f} times real time, its start included, which is nearly all of it "
        "(`make bench` takes 12 hours of audio)\n\n"
        "Next:\n"
        f"  {prefix}melbeam ingest  --input='my-clips/**' --output=my-audio --num_shards=16\n"
        f"  {prefix}melbeam extract --input='my-audio/train-*' --output=my-features/1.0.0\n"
        f'  {prefix}python -c "from melbeam.transforms import read_features; '
        f"print(read_features('{features}'))\""
    )
    return options.EXIT_OK


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
    axes.set(title=f"{clip_id}: log-mel features, front end gemma4", xlabel="seconds", ylabel="mel bin")
    figure.colorbar(image, label="ln(mel + floor)")
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return f"the features of {clip_id}"


def main(argv: Sequence[str] | None = None) -> int:
    """The command; gives the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    return options.exit_status(lambda: run(*options.parse(add_arguments, "melbeam demo", DESCRIPTION, argv)))


if __name__ == "__main__":
    sys.exit(main())
