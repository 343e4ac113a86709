"""The card of a folder: its figures are the splits', and what somebody wrote is never lost."""

import re

import pytest
from huggingface_hub import DatasetCard

from melbeam.pipelines.split.card import card, is_edited
from melbeam.pipelines.split.reports import SplitSummary
from melbeam.transforms.distributions import Distribution
from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.records.options import RecordOptions

GEMMA4 = FrontEnd.load("gemma4")


def summary(records=3, **counts):
    lengths = Distribution()
    for seconds in (1.0, 2.0, 6.0):
        lengths.add_value(seconds, 0.5, "a", 0, 0)
    fields = {
        "records_read": records + 1,
        "records_converted": records,
        "num_features": records,
        "num_samples": 16000 * 7200,
        "num_bytes": 3 << 20,
        "rejects": {"bad_audio": 1},
        "changes": {"resampled": 2},
        "distributions": {"seconds": lengths},
        "shard_features": {0: records},
        "shards_with_table": 1,
        "versions": {"melbeam": ["0.1.0"]},
    }
    return SplitSummary(**{**fields, **counts})


def text_of(summaries, front_end=GEMMA4, name=None):
    return card(summaries, front_end, RecordOptions(), name).decode()


def test_its_figures_are_the_splits():
    text = text_of({"train": summary(), "dev": summary(5, rejects={"too_long": 3})})
    assert "| train | 3 | 2 h | 1.0 s, 3.0 s, 6.0 s | 4 | 1 | 1 | 3.0 MiB |" in text
    assert "| dev | 5 |" in text
    assert "Rejected: 1 `bad_audio`, 3 `too_long`." in text
    assert "Changed: 4 `resampled`." in text
    assert f"`{GEMMA4.fingerprint}`" in text
    assert "| melbeam | 0.1.0 |" in text
    assert text == text_of({"dev": summary(5, rejects={"too_long": 3}), "train": summary()})


def test_a_hub_reads_it():
    data = DatasetCard(text_of({"train": summary(), "dev": summary()}, name="my_corpus")).data.to_dict()
    assert data == {
        "pretty_name": "my_corpus",
        "tags": ["audio", "log-mel", "melbeam"],
        "size_categories": ["n<1K"],
        "configs": [
            {
                "config_name": "records",
                "data_files": [
                    {"split": split, "path": f"records/{split}-*-of-*.parquet"} for split in ("dev", "train")
                ],
            }
        ],
    }
    without_tables = DatasetCard(text_of({"train": summary(shards_with_table=0)})).data.to_dict()
    assert "configs" not in without_tables


def test_licence_and_language_are_left_to_the_owner():
    text = text_of({"train": summary()})
    assert "license" not in DatasetCard(text).data.to_dict()
    assert "**To be filled in:**" in text
    assert re.search(r"^# license: the licence of .*\n# language: of the speech", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("records", "size"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**6, "1M<n<10M"), (10**10, "1B<n<10B")],
)
def test_the_size_in_the_hubs_words(records, size):
    assert f"size_categories: [{size}]" in text_of({"train": summary(records)})


def test_how_tfds_finds_it():
    assert 'tfds.load("my_corpus", data_dir="FOLDER/../..", split="train")' in text_of(
        {"train": summary()}, name="my_corpus"
    )
    assert 'tfds.builder_from_directory("FOLDER")' in text_of({"train": summary()})


def test_splits_of_before_have_figures_too():
    old = summary(distributions={}, shards_with_table=0, versions={})
    assert "| train | 3 | 2 h |  | 4 | 1 | 1 | 3.0 MiB |" in text_of({"train": old})
    assert "croissant.json" not in text_of({"train": old})


def test_a_front_ends_name_cannot_break_out():
    hostile = GEMMA4.replace(name="a`\n---\n<b>\x1b[31m")
    text = text_of({"train": summary()}, hostile)
    assert r"front end `a'\n---\n<b>\x1b[31m` take" in text


def test_what_counts_as_edited():
    written = card({"train": summary()}, GEMMA4, RecordOptions(), None)
    assert not is_edited(written)
    for edited in (
        b"",
        b"# My corpus\n",
        written.replace(b"# license: the licence", b"license: cc-by-4.0 #"),
        written.replace(b"Log-mel", b"Log mel", 1),
        written + b"More of it.\n",
        written[:-30],
        written.replace(b"\n", b"\r\n"),
        b"\xff\xfe\x00",
    ):
        assert is_edited(edited), edited[:40]
