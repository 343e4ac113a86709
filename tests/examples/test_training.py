"""The examples that train: each is run to its end, and its loss falls. `make test-examples` runs this.

The models are tiny and random, and learn eight spoken clips, or sounds of four kinds, from stored features.
"""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, features):
    """This runs an example in a folder of its own, as a user does, and gives what it prints."""
    # Only the device of the machine that the test runs on could make it another one.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, EXAMPLES / name, f"--features={features}"]
    found = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1800)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def losses(printed):
    return [float(number) for number in re.search(r"^loss: (\S+) -> (\S+)$", printed, re.MULTILINE).groups()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("finetune_gemma4_keras.py", ["keras_hub", "sentencepiece"]),
        ("finetune_gemma4_transformers.py", ["transformers", "torch", "tokenizers"]),
        ("finetune_whisper.py", ["transformers", "torch", "tokenizers"]),
    ],
)
def test_it_learns_what_is_said(tmp_path, name, needs):
    missing = [package for package in needs if find_spec(package) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)}: installed by `make test-examples`")
    printed = run(name, tmp_path / "features")
    first, last = losses(printed)
    # By the letters' frequencies alone it would stay above a half.
    assert last < first / 4
    heard = re.findall(r"^'(.*)' was heard as ['\"](.*)['\"]$", printed, re.MULTILINE)
    assert len(heard) == 8
    assert len({said for _, said in heard}) >= 4  # a model that hears nothing says one sentence for all


@pytest.mark.slow
def test_it_tells_sounds_apart(tmp_path):
    printed = run("classify_keras.py", tmp_path / "features")
    first, last = losses(printed)
    assert last < first / 2
    accuracy, chance = re.search(r"^accuracy: (\S+) on .* by chance (\S+)$", printed, re.MULTILINE).groups()
    assert float(accuracy) > 0.8 > 3 * float(chance)
