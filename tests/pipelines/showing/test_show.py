"""melbeam show: a record by its id or number, of every kind of folder, and nothing that a terminal would obey."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from helpers import compress_features, encode, run, speech_like, tree
from melbeam.pipelines import extract, index, report, show
from melbeam.pipelines.showing import finding
from melbeam.pipelines.words import harmless
from melbeam.transforms import FeatureSource


def test_a_record_by_id_and_by_number(made):
    folder = made()
    by_id, by_number = run(show, folder, "clip-1"), run(show, folder, "#1")
    assert by_id == by_number == run(show, folder, "#-4")
    assert by_id.status == 0
    lines = by_id.text.splitlines()
    assert lines[0] == f"#1 of train in {folder}, front end gemma4"
    shown = dict(line.split(maxsplit=1) for line in lines[1:] if line.startswith("  ") and "|" not in line)
    stored = FeatureSource(folder)[1]
    assert shown["text"] == "the second"
    assert shown["num_frames"] == str(stored["num_frames"]) == "29"
    assert shown["num_samples"] == "4800 (0.3 s)"
    assert shown["speaker"] == "7"
    assert "tags" not in shown  # this record has none
    values = stored["input_features"].astype(np.float64)
    assert shown["input_features"] == (
        f"float32 [29, 128]; mean {values.mean():.4g}, deviation {values.std():.4g}, "
        f"{values.min():.4g} to {values.max():.4g}"
    )
    assert lines[-2].split() == ["0", "0.14", "0.29", "s"]
    picture = [line[5:] for line in lines if line.startswith(("127 |", "    |", "  0 |"))]
    assert {len(row) for row in picture} == {29}
    # A tone of 700 Hz: its brightest row is that of the mel bin with the largest mean.
    brightest = max(range(16), key=lambda row: picture[row].count("@"))
    assert 15 - brightest == int(values.mean(axis=0).argmax()) // 8


def test_without_a_record_the_first_ones(made):
    shown = run(show, made())
    assert [line for line in shown.text.splitlines() if line.startswith("#")] == [
        f"#{n} of train in {made()}, front end gemma4" for n in range(3)
    ]
    assert shown.text.splitlines()[-1] == f"3 of 5 records; melbeam show {made()} '#3'"
    assert run(show, made(), "--limit=9").text.count("input_features") == 5


@pytest.mark.parametrize("given", ["#5", "#-6", "#12345678901234567890"])
def test_a_number_that_there_is_not(made, given):
    shown = run(show, made(), given)
    assert (shown.status, shown.text) == (
        2,
        f"melbeam: there is no record {given}: the split has 5, #0 to #4 [MB506]\n",
    )


def test_an_id_that_there_is_not(made, monkeypatch):
    expected = (
        2,
        "melbeam: no record of the split's 5 has the id clip-11: did you mean clip-1 or clip-4 or clip-3? "
        "[MB506]\n",
    )
    assert run(show, made(), "clip-11") == expected
    monkeypatch.setattr(finding, "_COMPARED_AT_ONCE", 2)
    assert run(show, made(), "clip-11") == expected
    far = run(show, made(), "\x1b[31mnothing like it")
    assert far == (
        2,
        "melbeam: no record of the split's 5 has the id \\x1b[31mnothing like it; '#0' is its first one [MB506]\n",
    )


def test_nothing_that_a_terminal_obeys_is_printed(made):
    shown = run(show, made(), "#2")
    assert shown.status == 0
    assert not [c for c in shown.text if not c.isprintable() and c not in "\n\u200c\u200d"]
    assert r"evil\x1b]0;owned\x07" in shown.text
    assert r"red \x1b[31m\x9b2J \u202egnp.\u202c\nnew line\x00 \u2028 کتاب‌ها 👩‍🚀" in shown.text
    for given in ("evil\x1b]0;owned\x07", r"evil\x1b]0;owned\x07"):  # as it is, and as it is shown
        assert run(show, made(), given) == shown
    near = run(show, made(), "evil")
    assert near.status == 2
    assert "\x1b" not in near.text


def test_harmless_text_stays_as_it_is():
    for text in ("plain", "naïve 北京 عربي हिन्दी क्‍ष 👩‍🚀 کتاب‌ها", ""):
        assert harmless(text) == text
    assert harmless(b"\xff\xfe ok \xc2\x9b") == r"\xff\xfe ok \x9b"
    assert harmless("\ud800\ue000\ufeff\u2066") == "\\ud800\ue000\\ufeff\\u2066"


@pytest.mark.parametrize(
    ("options", "tensor"),
    [
        (("--dtype=bfloat16",), "bfloat16 [29, 128]"),
        pytest.param(("--dtype=float16",), "float16 [29, 128]", marks=pytest.mark.slow),
        pytest.param(("--encoding=float_list",), "float32 [29, 128]", marks=pytest.mark.slow),
        pytest.param(
            ("--pad_to_max_length",), "float32 [3000, 128], of which 29 frames are valid", marks=pytest.mark.slow
        ),
        pytest.param(
            ("--front_end=whisper",), "float32 [3000, 80], of which 30 frames are valid", marks=pytest.mark.slow
        ),
        (("--front_end=whisper", "--pad_to_max_length=off"), "float32 [3000, 80], of which 30 frames are valid"),
    ],
    ids=str,
)
def test_every_way_to_store_features(made, options, tensor):
    shown = run(show, made(*options), "clip-1")
    assert shown.status == 0
    assert tensor in shown.text
    assert "0.29 s" in shown.text or "0.30 s" in shown.text  # the valid frames alone are drawn


def test_features_that_are_compressed(made, copied):
    folder = copied(made())
    compress_features(folder)
    expected = run(show, made(), "clip-3").text.replace(str(made()), str(folder))
    assert run(show, folder, "clip-3").text == expected


def test_folders_of_version_1(of_version_1, copied):
    """They have no index: their shards are walked. With one, the same is shown."""
    shown = run(show, of_version_1.mask, "#0")
    assert shown.status == 0
    assert "[one]" in shown.text  # every text is a list there
    assert "bfloat16 [9, 128]" in shown.text
    folder = copied(of_version_1.mask)
    assert index.main([str(folder)]) == 0
    assert run(show, folder, "#0").text == shown.text.replace(str(of_version_1.mask), str(folder))
    # Nothing restores what the model takes behind these clips: the rows that there are are shown.
    assert "bfloat16 [5, 80]; mean" in run(show, of_version_1.full_length, "#0").text


def test_the_split(made, copied):
    folder = copied(made())
    split = f"--input={made().parent}/audio-1.tfrecord"
    assert extract.main([split, f"--output={folder}", "--split=dev"]) == 0
    assert run(show, folder).text.startswith("#0 of train ")
    assert run(show, folder, "#0", "--split=dev").text.startswith("#0 of dev ")
    sliced = run(show, folder, "#0", "--split=train[-1:]").text
    assert sliced.startswith("#0 of train[-1:] in ")
    assert "id                   clip-4" in sliced
    wrong = run(show, folder, "--split=tset")
    assert (wrong.status, wrong.text) == (
        2,
        f"melbeam: {folder}: the folder has no finished split 'tset'; it has dev, train [MB502]\n",
    )
    info = json.loads((folder / "dataset_info.json").read_text())
    (dev,) = (entry for entry in info["splits"] if entry["name"] == "dev")
    for splits, expected in (
        ([dev], (0, f"#0 of dev in {folder}, front end gemma4")),
        (
            [dev, {**dev, "name": "test"}],
            (2, f"melbeam: {folder} has the splits dev, test: name one, --split=dev [MB502]"),
        ),
        ([], (2, f"melbeam: {folder} has no finished split [MB502]")),
    ):
        (folder / "dataset_info.json").write_text(json.dumps({**info, "splits": splits}))
        shown = run(show, folder)
        assert (shown.status, shown.text.splitlines()[0]) == expected


def test_what_is_no_folder_of_features(tmp_path, made):
    shown = run(show, tmp_path)
    assert (shown.status, shown.text) == (
        2,
        f"melbeam: {tmp_path}/dataset_info.json is missing: {tmp_path} is not what a finished `melbeam extract` "
        "leaves [MB501]\n",
    )
    assert run(show, made(), "--limit=0") == (2, "melbeam: --limit must be at least 1, got 0 [MB103]\n")


def test_metadata_that_are_none(made, copied):
    folder = copied(made())
    for name, content in (("front_end.json", "{}"), ("dataset_info.json", "[]"), ("dataset_info.json", "{")):
        (folder / name).write_text(content)
        shown = run(show, folder)
        assert (shown.status, shown.text.endswith("[MB501]\n")) == (2, True), shown.text


def test_a_field_of_several_types_is_left_out(made, copied):
    folder = copied(made())
    path = folder / "_melbeam/train/schema.json"
    schema = json.loads(path.read_text())
    del schema["fields"]["text"]
    schema["mixed"]["text"] = {"kinds": {"bytes_list": 1, "int64_list": 1}, "most": 1, "ids": {}}
    path.write_text(json.dumps(schema))
    shown = run(show, folder, "clip-1")
    assert shown.status == 0
    assert shown.text.startswith("not shown, since their values are of several types: text\n")
    assert "the second" not in shown.text


def test_a_damaged_record(made, copied):
    folder = copied(made())
    shard = next(folder.glob("train-00002-*"))
    data = bytearray(shard.read_bytes())
    data[300] ^= 1
    shard.write_bytes(data)
    shown = run(show, folder, "#3")
    assert shown.status == 1
    assert f"{shard}, record 0 (at byte 0): the data's checksum does not hold" in shown.text
    assert run(show, folder, "#4").status == 0
    assert run(show, folder, "clip-4").status == 1  # which is behind it
    shutil.rmtree(folder / "_melbeam/train/index")  # without an index it is found where it begins
    assert run(show, folder, "#4").status == 0
    shard.write_bytes(data[100:])
    assert "record 0 does not begin at byte 0, where it must" in run(show, folder, "#4").text


def test_as_a_picture(made, tmp_path):
    picture = tmp_path / "clip.png"
    shown = run(show, made(), "clip-4", f"--png={picture}")
    assert shown.text.endswith(f"drawn into {picture}\n")
    assert picture.read_bytes().startswith(b"\x89PNG")
    width = int.from_bytes(picture.read_bytes()[16:20], "big")
    assert width == 1170
    assert run(show, made(), "#2", f"--png={picture}").status == 0  # with all that is in its title
    first = run(show, made(), f"--png={picture}")
    assert first.text.count("input_features") == 1
    missing = run(show, made(), "#0", f"--png={tmp_path}/nowhere/clip.png")
    assert missing.status == 2
    assert f"{tmp_path}/nowhere/clip.png: No such file or directory: correct the path" in missing.text


def test_without_matplotlib(made, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "melbeam.transforms.plots", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    shown = run(show, made(), "#0", f"--png={tmp_path}/clip.png")
    assert shown.status == 2
    assert "pip install 'melbeam[report]'" in shown.text


def test_it_changes_nothing(made):
    before = tree(made())
    run(show, made(), "clip-3")
    run(show, made())
    assert tree(made()) == before


def test_a_reader_that_goes_away_is_no_failure_to_tell(made):
    command = [sys.executable, "-m", "melbeam.pipelines.show", str(made()), "--limit=5"]
    shown = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    shown.stdout.close()
    assert shown.stderr.read() == b""
    assert shown.wait(timeout=60) == 1


def test_an_id_that_reads_like_a_number(tmp_path):
    for name in ("#0", "#1", "##0"):
        (tmp_path / f"{len(name)}{name[-1]}.wav").write_bytes(encode(speech_like(0.3)))
    rows = [{"audio": f"{len(name)}{name[-1]}.wav", "id": name} for name in ("#1", "#0", "##0")]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = tmp_path / "features"
    assert run(extract, f"--input={tmp_path}/m.jsonl", f"--output={folder}").status == 0
    for given, number in {"#0": 0, "##1": 0, "##0": 1, "###0": 2}.items():
        assert run(show, folder, given).text.splitlines()[0].startswith(f"#{number} of "), given
    assert "has the id #7" in run(show, folder, "##7").text


@pytest.mark.parametrize("content", ["", "null", "[]", "{}", '{"splits": [{}]}'])
@pytest.mark.parametrize("name", ["dataset_info.json", "front_end.json", "features.json"])
def test_metadata_of_another_form_are_told_by_whoever_reads_them(made, copied, name, content):
    folder = copied(made())
    (folder / name).write_text(content)
    told = f"{folder}/{name} is no"
    with pytest.raises(ValueError, match=re.escape(told)):
        FeatureSource(folder)
    for job in (show, index) if name == "dataset_info.json" else (show,):
        found = run(job, folder)
        assert (found.status, told in found.text) == (2, True), found.text


def test_a_report_leaves_out_pictures_of_what_is_not_as_written(made, copied, tmp_path):
    folder, page = copied(made()), tmp_path / "page.html"
    (folder / "features.json").write_text("{}")
    assert run(report, folder, f"--output={page}").status == 0
    assert f"{folder}/features.json is not what melbeam writes" in page.read_text()
