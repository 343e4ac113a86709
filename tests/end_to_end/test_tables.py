"""Tables, Croissant and the card of a folder that a job made, and what every other job does with them."""

import hashlib
import json
import shutil

import pyarrow.parquet as pq
import pytest

from helpers import clip, run, tree, wav, write
from melbeam.pipelines import clean, extract, retry_rejects, verify
from melbeam.transforms import FeatureSource
from melbeam.transforms.records.tf_example import to_example

TEXTS = {"a": "one", "b": "two \x1b[31m", "d": ""}


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    for shard, names in enumerate(("ab", "cd", "")):
        texts = [{"text": TEXTS[name]} if name in TEXTS else {} for name in names]
        records = [
            to_example({"audio": wav(seconds=0.3 + n), "id": name, **text})
            for n, (name, text) in enumerate(zip(names, texts, strict=True))
        ]
        write(folder / f"in-{shard}", records)
    write(folder / "in-2", [clip("long", 31), b"\xff\xff"])
    return folder


@pytest.fixture(scope="module")
def made(audio):
    ended = run(extract, f"--input={audio}/in-*", f"--output={audio}/features", "--max_reject_fraction=1")
    assert ended.status == 0, ended.text
    return audio / "features"


@pytest.fixture
def folder(made, tmp_path):
    shutil.copytree(made, tmp_path / "features")
    return tmp_path / "features"


def rows(folder, split="train"):
    return [row for path in sorted(folder.glob(f"records/{split}-*")) for row in pq.read_table(path).to_pylist()]


def globs(folder):
    return json.loads((folder / "croissant.json").read_text())["distribution"][0]["includes"]


def test_a_table_says_what_the_records_say(made):
    source = FeatureSource(made)
    assert [row["id"] for row in rows(made)] == ["a", "b", "c", "d"]
    for row, record in zip(rows(made), source, strict=True):
        assert row["id"].encode() == record["id"]
        assert row["text"] == TEXTS.get(row["id"])
        assert row["num_frames"] == record["num_frames"] == len(record["input_features"])
        assert row["seconds"] == record["num_samples"] / record["sampling_rate"]
        assert row["source"].encode() == record["source"]
        assert row["split"] == "train"
        number = int(row["file"].split("-")[1])
        assert FeatureSource(made, f"train[{number}shard]")[row["record"]]["id"] == record["id"]
    assert [path.name for path in sorted(made.glob("records/*"))] == [
        f"train-0000{n}-of-00003.parquet"
        for n in range(3)  # that of a shard of rejects alone, too
    ]
    assert verify.main([str(made)]) == 0


def test_the_bytes_are_the_same_every_time(made, audio, tmp_path):
    again = tmp_path / "again"
    assert run(extract, f"--input={audio}/in-*", f"--output={again}", "--max_reject_fraction=1").status == 0
    for pattern in ("*.parquet", "croissant.json", "README.md"):
        assert tree(again, pattern) == tree(made, pattern) != {}


def test_a_table_that_is_lost_or_changed_is_made_again(made, audio, folder):
    table = folder / "records/train-00000-of-00003.parquet"
    expected = table.read_bytes()
    table.unlink()
    command = (extract, f"--input={audio}/in-*", f"--output={folder}", "--max_reject_fraction=1")
    checked = run(verify, folder)
    assert checked.status == 1
    assert f"FAULT: {table}: it is missing: extract again, its shard is done anew" in checked.text
    assert run(*command).status == 0
    assert table.read_bytes() == expected
    other = (folder / "records/train-00001-of-00003.parquet").read_bytes()
    table.write_bytes(other)
    assert f"{table}: it is not the file that its report describes" in run(verify, folder).text
    assert run(*command, "--recheck").status == 0
    assert tree(folder) == tree(made) or table.read_bytes() == expected


def test_rows_of_other_records_are_a_fault(folder):
    """The report describes them, as one that another program wrote would."""
    table, report = folder / "records/train-00000-of-00003.parquet", folder / "_melbeam/train/reports/00000.json"
    content, said = pq.read_table(table), json.loads(report.read_text())
    other = content.set_column(1, content.schema.field("text"), [["one", "three"]])
    for changed, expected in (
        (
            other,
            "records/train-00000-of-00003.parquet, record 1: it is not what train-00000-of-00003.tfrecord holds",
        ),
        (content.slice(0, 1), "it has 1 rows, "),
        (content.drop_columns(["text"]), "its columns are "),
    ):
        pq.write_table(changed, table)
        from melbeam.pipelines.tfrecord import file_crc32c

        with open(table, "rb") as file:
            checksum, size = file_crc32c(file)
        said["table"] |= {"crc32c": checksum, "size": size}
        report.write_text(json.dumps(said))
        checked = run(verify, folder)
        assert checked.status == 1
        assert expected in checked.text
    stray = folder / "records/train-00007-of-00009.parquet"
    shutil.copy(table, stray)
    assert f"{stray}: a table of no shard of the plan; remove it" in run(verify, folder).text


def test_a_retried_split_has_tables_of_its_own(folder):
    before = tree(folder, "train-*")
    assert globs(folder) == "records/train-*-of-*.parquet"
    assert run(retry_rejects, folder, "--on_long=chunk", "--max_reject_fraction=1").status == 0
    assert before.items() <= tree(folder, "train*").items()
    assert [(row["id"], row["split"]) for row in rows(folder, "train_retried")] == [
        ("long#0", "train_retried"),
        ("long#1", "train_retried"),
    ]
    assert globs(folder) == ["records/train-*-of-*.parquet", "records/train_retried-*-of-*.parquet"]
    assert "| train_retried | 2 |" in (folder / "README.md").read_text()
    assert run(verify, folder).status == 0


def test_overwriting_leaves_no_table_of_before(audio, folder):
    command = (extract, f"--input={audio}/in-0", f"--output={folder}", "--overwrite")
    assert run(*command).status == 0
    assert [path.name for path in folder.glob("records/*")] == ["train-00000-of-00001.parquet"]
    assert "| train | 2 |" in (folder / "README.md").read_text()
    assert run(verify, folder).status == 0


def test_clean_removes_what_attempts_left_and_no_table(folder):
    left = folder / "_melbeam/train/tmp/00000/0123456789ab.table"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half of it")
    before = tree(folder, "*.parquet")
    assert "1 temporary file removed" in run(clean, folder).text
    assert not left.exists()
    assert tree(folder, "*.parquet") == before


def test_a_card_of_other_figures_is_a_fault_an_edited_one_is_not(folder):
    path = folder / "README.md"
    written = path.read_text()
    path.write_text(written.replace("| train | 4 |", "| train | 40 |"))
    assert run(verify, folder).status == 0  # whoever edits it may say what they like
    path.unlink()
    assert run(verify, folder).status == 0
    body = written.replace("| train | 4 |", "| train | 40 |").rpartition("<!--")[0]
    mark = written.rpartition("<!--")[2].rpartition(":")[0]
    path.write_text(f"{body}<!--{mark}: {hashlib.sha256(body.encode()).hexdigest()} -->\n")
    checked = run(verify, folder)
    assert checked.status == 1
    assert f"{path}: its figures are not those of the splits" in checked.text


def test_croissant_of_other_splits_is_a_fault_its_owners_words_are_not(folder):
    path = folder / "croissant.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "license": "cc-by-4.0"}))
    assert run(verify, folder).status == 0
    content["distribution"][0]["includes"] = "records/dev-*"
    path.write_text(json.dumps(content))
    assert f"FAULT: {path}: distribution" in run(verify, folder).text


def test_a_name_for_tfds(audio, tmp_path):
    command = (extract, f"--input={audio}/in-0", f"--output={tmp_path}/sets", "--dataset_name=my_corpus2")
    assert run(*command).status == 0
    folder = tmp_path / "sets/my_corpus2/1.0.0"
    for name in ("dataset_info.json", "croissant.json"):
        content = json.loads((folder / name).read_text())
        assert (content["name"], content["version"]) == ("my_corpus2", "1.0.0")
    assert run(*command).status == 0  # goes on there
    # A split that joins the folder by its path leaves it its name.
    assert run(extract, f"--input={audio}/in-1", f"--output={folder}", "--split=dev").status == 0
    assert json.loads((folder / "dataset_info.json").read_text())["name"] == "my_corpus2"
    assert 'tfds.load("my_corpus2"' in (folder / "README.md").read_text()
    assert run(verify, folder).status == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--dataset_name=MyCorpus",), "must be lower-case letters, digits and underscores"),
        (("--dataset_name=a/b",), "as TFDS spells names (my_corpus), got 'a/b'"),
        (("--dataset_name=",), "got ''"),
        (("--dataset_name=x", "--output=features/1.0.0"), "--output=features gives features/x/1.0.0"),
        (("--dataset_name=x", "--output=1.0.0"), "--output=. gives ./x/1.0.0"),
    ],
)
def test_names_that_tfds_would_not_find(audio, tmp_path, monkeypatch, options, expected):
    monkeypatch.chdir(tmp_path)
    ended = run(extract, f"--input={audio}/in-0", "--output=sets", *options)
    assert (ended.status, expected in ended.text) == (2, True), ended.text
    assert not list(tmp_path.iterdir())
