"""Writes how far encoders are apart on stored features and on the reference's own, into docs/reading.md.

`make test-models` runs it, where keras-hub, transformers and PyTorch are. Clips and encoders are those of
tests/parity/encoders.py: speech and noise, in tiny random models.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import sys
import tempfile
from pathlib import Path
from types import ModuleType

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from melbeam.pipelines.verifying.references import reference
from melbeam.transforms import FrontEnd, read_features

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reading.md"
PACKAGES = ("keras-hub", "transformers", "torch", "tensorflow")
HEAD = (
    "model",
    "audio",
    "features, from exact",
    "the reference's, from exact",
    "encoder's outputs, from the reference's",
    "their largest",
)


def module(path: Path) -> ModuleType:
    """The module of a file of the tests, which are no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    found = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def rows() -> list[list[str]]:
    """The rows of the table, two a model: speech, and the worst of the clips of noise."""
    encoders, oracle = module(ROOT / "tests" / "parity" / "encoders.py"), module(ROOT / "tests" / "oracle.py")
    clips, table, batches = encoders.clips(), [], {}
    for model, encoder in encoders.ENCODERS.items():
        name = encoder.front_end
        if name not in batches:
            with tempfile.TemporaryDirectory() as folder:
                stored = encoders.store(Path(folder), name, clips)
                batches[name] = next(iter(read_features(stored, front_end=name, batch_size=len(clips))))
        batch = batches[name]
        theirs = reference(model.split("/")[0].replace("_", "-"), FrontEnd.load(name))
        figures = []
        found, expected = encoder.outputs(batch, clips)
        for number, clip in enumerate(map(encoders.as_floats, clips)):
            frames = int(batch["num_frames"][number])
            exact = getattr(oracle, name)(clip)
            features, counted = theirs(clip)
            counted = counted[counted < frames]
            ours = batch["input_features"][number, :frames].numpy()
            figures.append(
                (
                    np.abs(ours - exact[:frames]).max(),
                    np.abs(features[: len(counted)] - exact[counted]).max(),
                    np.abs(found[number] - expected[number]).max(),
                    np.abs(expected[number]).max(),
                )
            )
        for audio, of_audio in (("speech", figures[:1]), ("noise", figures[1:])):
            table.append([f"`{model}`", audio, *(f"{value:.1e}" for value in np.max(of_audio, axis=0))])
    return table


def main() -> None:
    lines = ["| " + " | ".join(row) + " |" for row in [list(HEAD), ["---"] * len(HEAD), *rows()]]
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in PACKAGES)
    made = "\n".join([*lines, "", f"{versions}.", ""])
    text, count = re.subn(
        r"(<!-- encoders -->\n).*?(<!-- /encoders -->)",
        lambda found: found[1] + made + found[2],
        PAGE.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    assert count == 1, PAGE
    PAGE.write_text(text, encoding="utf-8")
    print(made)


if __name__ == "__main__":
    sys.exit(main())
