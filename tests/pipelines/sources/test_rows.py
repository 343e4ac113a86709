"""Rows that name a file: how the name may be spelled on the disk, and names and ids that no UTF-8 can hold."""

import json
import os
import shutil
import unicodedata
from pathlib import Path

import pytest

from melbeam.pipelines.sources.kept_rows import read_kept_row
from melbeam.pipelines.sources.units import AudioRecord, Unit
from melbeam.transforms.records.examples import to_reject

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café.wav") for form in ("NFC", "NFD"))


@pytest.fixture
def corpus(tmp_path, monkeypatch, tone):
    monkeypatch.chdir(tmp_path)
    tone("a.wav")


@pytest.mark.parametrize(
    ("on_disk", "named", "encoding"),
    [
        (b"caf\xe9.wav", COMPOSED, "latin-1"),
        (b"\xe4\xee\xec/\xea\xee\xf2.wav", "дом/кот.wav", "cp1251"),
        (DECOMPOSED.encode(), COMPOSED, "utf-8"),
        (COMPOSED.encode(), DECOMPOSED, "utf-8"),
        (b"caf\xc3\xa9.wav", COMPOSED, "latin-1"),  # the name as it stands
    ],
)
def test_names_are_found_as_the_disk_spells_them(corpus, read, on_disk, named, encoding):
    path = os.fsdecode(b"d\xc3\xa4ta/" + on_disk)
    Path(path).parent.mkdir(parents=True)
    shutil.copy("a.wav", path)
    Path("däta/metadata.csv").write_bytes(f"file_name,text\n{named},x\n{named},y\n".encode(encoding))
    for pattern in ("däta", "däta/metadata.csv"):
        found = read(pattern, encoding_of_text=encoding)
        assert [(clip.id, clip.fields["text"]) for clip in found.clips] == [(named, b"x"), (named, b"y")]
        assert not [told for told in found.told if "that no row names" in told]
    rows = f"file_name,text,start,end\n{named},x,0.1,0.2\n".encode(encoding)
    Path("däta/metadata.csv").write_bytes(rows)
    (clip,) = read("däta", encoding_of_text=encoding).clips
    assert len(clip.samples) == 1600


def test_one_whose_file_was_not_there_is_found_so_later(corpus, read):
    Path("m.csv").write_bytes("file_name\nfür.wav\n".encode("latin-1"))
    (damage,) = read("m.csv", encoding_of_text="latin-1").damages
    shutil.copy("a.wav", os.fsdecode(b"f\xfcr.wav"))
    (item,) = read_kept_row(to_reject(damage.data, damage.reject, "m.csv#0"), Unit("kept", 1), 0, 1 << 28)
    assert isinstance(item, AudioRecord)
    assert Path("a.wav").read_bytes() in item.data


def test_half_a_character_is_no_path_and_none_of_an_id(corpus, read):
    rows = [{"audio": "a.wav", "id": "\ud83d", "text": "cut \ud83d"}, {"audio": "\ud83d.wav", "id": "b"}]
    Path("m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read("m.jsonl")
    assert [(clip.id, clip.fields["text"]) for clip in found.clips] == [("?", b"cut ?")]
    (damage,) = found.damages
    assert damage.reject.reason == "bad_row"
    assert "holds half a character" in damage.reject.detail


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("~/a.wav", "~ and $ stand for nothing in a path here: write the whole path"),
        ("$DATA/a.wav", "~ and $ stand for nothing"),
        ("a.wav ", "a part of its name begins or ends with a space: 'a.wav '"),
        ("b\\a.wav", "backslashes, as paths of Windows"),
    ],
)
def test_a_name_that_means_something_elsewhere_is_told(corpus, read, name, told):
    Path("m.jsonl").write_text(json.dumps({"audio": name}) + "\n")
    (damage,) = read("m.jsonl").damages
    assert told in damage.reject.detail
