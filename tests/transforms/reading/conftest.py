"""Folders of features, made by the job itself."""

import numpy as np
import pytest

from helpers import write
from melbeam.pipelines import extract
from melbeam.transforms import FrontEnd
from melbeam.transforms.records.tf_example import to_example

LENGTHS = (16000, 8000, 12345, 4000, 9999, 20000, 3200, 5000, 7777, 6400, 4321)


def clip_of(number, num_samples):
    return (3000 * np.random.default_rng([12, number]).standard_normal(num_samples)).astype("int16")


@pytest.fixture(scope="session")
def write_audio():
    """Writes a shard of audio records, given as dicts without their sampling rate."""

    def write_all(path, records):
        write(path, [to_example({"sampling_rate": 16000, **record}) for record in records])

    return write_all


@pytest.fixture(scope="session")
def several_shards(tmp_path_factory, write_audio):
    """A folder of two splits: `train` of four shards, one of them empty, and `test` of one."""
    folder = tmp_path_factory.mktemp("several")
    shards = ((0, 1, 2), (), (3, 4, 5, 6), (7,))
    for shard, numbers in enumerate(shards):
        records = [{"audio": clip_of(n, LENGTHS[n]), "id": f"clip-{n}", "text": f"word {n}"} for n in numbers]
        write_audio(folder / f"audio-{shard}", records)
    write_audio(folder / "test", [{"audio": clip_of(n, LENGTHS[n]), "id": f"clip-{n}"} for n in (8, 9, 10)])
    assert extract.main([f"--input={folder}/audio-*", f"--output={folder}/f"]) == 0
    assert extract.main([f"--input={folder}/test", f"--output={folder}/f", "--split=test"]) == 0
    return folder / "f"


@pytest.fixture(scope="session")
def lacking_fields(tmp_path_factory, write_audio):
    """A folder in which some records lack fields, and others have several values of one."""
    folder = tmp_path_factory.mktemp("lacking")
    front_end = FrontEnd.load("gemma4").replace(name="short", max_audio_length=0.7)
    (folder / "short.yaml").write_text(front_end.to_yaml())
    records = [
        {"audio": clip_of(1, 8000), "id": "whole", "text": "hello", "speaker": 7, "gain": 0.5, "tags": ["a", "b"]},
        {"audio": clip_of(3, 4000), "id": "bare"},
        {"audio": clip_of(0, 16000), "id": "long", "text": "a long one", "tags": ["c"], "times": [1, 2, 3]},
    ]
    write_audio(folder / "audio", records)
    command = [f"--input={folder}/audio", f"--output={folder}/f", f"--front_end={folder}/short.yaml"]
    assert extract.main([*command, "--on_long=chunk"]) == 0
    return folder / "f", front_end
