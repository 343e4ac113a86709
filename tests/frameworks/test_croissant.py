"""The tables through Croissant's own loader, and a folder by its name through TFDS, by `make test-frameworks`."""

import json
import math

import numpy as np
import pytest

from helpers import wav, write
from melbeam.pipelines import extract
from melbeam.transforms import FeatureSource, read_features
from melbeam.transforms.records.tf_example import to_example

HOW = "installed by `make test-frameworks`"
mlcroissant = pytest.importorskip("mlcroissant", reason=HOW)
tfds = pytest.importorskip("tensorflow_datasets", reason=HOW)

TEXTS = {"clip-1": "naïve, 北京", "clip-2": "two\nlines \x1b[31m \u2028", "clip-4": ""}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set of two splits, train of two shards, in which some records have no text."""
    above = tmp_path_factory.mktemp("sets")
    for name, numbers in (("train-0", (0, 1)), ("train-1", (2, 3)), ("dev", (4,))):
        texts = [{"text": TEXTS[f"clip-{n}"]} if f"clip-{n}" in TEXTS else {} for n in numbers]
        records = [
            to_example({"audio": wav(n, 0.2 + 0.1 * n), "id": f"clip-{n}", **text})
            for n, text in zip(numbers, texts, strict=True)
        ]
        write(above / name, records)
    for split, name in (("train", "train-*"), ("dev", "dev")):
        command = [f"--input={above}/{name}", f"--output={above}", "--dataset_name=spoken", f"--split={split}"]
        assert extract.main(command) == 0
    return above / "spoken/1.0.0"


def test_it_validates(folder):
    issues = mlcroissant.Dataset(jsonld=folder / "croissant.json").metadata.issues
    assert not issues.errors
    # What only the owner of the data knows.
    missing = sorted(line.split('"')[1].rpartition("/")[2] for line in issues.warnings)
    assert missing == ["citeAs", "datePublished", "license"]
    path = folder / "croissant.json"
    content = json.loads(path.read_text())
    own = {
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "citeAs": "us",
        "datePublished": "2026-01-01",
    }
    filled = mlcroissant.Dataset(jsonld={**content, **own}).metadata.issues
    assert not filled.errors
    assert not filled.warnings


def test_its_records_are_those_of_the_features(folder):
    found = list(mlcroissant.Dataset(jsonld=folder / "croissant.json").records("records"))
    expected = [
        (split, number, record)
        for split in ("dev", "train")
        for number, record in enumerate(FeatureSource(folder, split))
    ]
    assert len(found) == len(expected) == 5
    for row, (split, _, record) in zip(found, expected, strict=True):
        assert row["records/id"] == record["id"]
        assert row["records/num_frames"] == record["num_frames"]
        assert row["records/seconds"] == record["num_samples"] / record["sampling_rate"]
        assert row["records/source"] == record["source"]
        assert row["records/split"] == split.encode()
        shard = int(row["records/file"].split(b"-")[1])
        assert FeatureSource(folder, f"{split}[{shard}shard]")[row["records/record"]]["id"] == record["id"]
        text, stored = row["records/text"], TEXTS.get(record["id"].decode())
        if stored is None:  # pandas' own, which differs with its release
            assert text is None or math.isnan(text)
        else:
            assert text == stored.encode()


def test_tfds_finds_it_by_its_name(folder):
    data_dir = str(folder.parents[1])
    builder = tfds.builder("spoken", data_dir=data_dir)
    assert (builder.info.full_name, builder.data_dir) == ("spoken/1.0.0", str(folder))
    for split in ("train", "dev"):
        found = tfds.load("spoken", data_dir=data_dir, split=split).as_numpy_iterator()
        ours = {record["id"]: record for record in read_features(folder, split).as_numpy_iterator()}
        count = 0
        for record in found:
            count += 1
            np.testing.assert_array_equal(record["input_features"], ours[record["id"]]["input_features"])
            assert record["text"] == ours[record["id"]]["text"]
        assert count == len(ours)
