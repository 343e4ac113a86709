"""A folder of features whose ids and texts would like to be obeyed by a terminal."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from helpers import encode, write
from melbeam.pipelines import extract
from melbeam.transforms.records.tf_example import to_example

DATA = Path(__file__).parents[1] / "data"
TITLE = "\x1b]0;owned\x07"
HOSTILE = {
    "id": f"evil{TITLE}",
    "text": "red \x1b[31m\x9b2J \u202egnp.\u202c\nnew line\x00 \u2028 کتاب\u200cها 👩\u200d🚀",
}


def record(number, **fields):
    """An audio record: a tone that rises with its number, 0.2 s and longer."""
    samples = 0.3 * np.sin(2 * np.pi * (400 + 300 * number) / 16000 * np.arange(3200 + 1600 * number))
    return to_example({"audio": encode(samples), "id": f"clip-{number}", **fields})


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Makes folders of features; `made(*options)` gives one of five clips in three shards, each made once."""
    found = {}

    def make(*options):
        if options not in found:
            folder = tmp_path_factory.mktemp("shown")
            for shard, numbers in enumerate(((0, 1), (2,), (3, 4))):
                fields = {1: {"text": "the second", "speaker": 7}, 2: HOSTILE, 4: {"tags": ["a", "b"]}}
                records = [record(n, **fields.get(n, {})) for n in numbers]
                write(folder / f"audio-{shard}.tfrecord", records)
            command = [f"--input={folder}/audio-*.tfrecord", f"--output={folder}/f", *options]
            assert extract.main(command) == 0
            found[options] = folder / "f"
        return found[options]

    return make


@pytest.fixture
def copied(tmp_path):
    """Copies a folder, so that a test may change it."""

    def copy(folder, name="copy"):
        shutil.copytree(folder, tmp_path / name)
        return tmp_path / name

    return copy


@pytest.fixture(scope="session")
def of_version_1():
    return SimpleNamespace(mask=DATA / "folder_of_version_1", full_length=DATA / "folder_of_version_1_full_length")
