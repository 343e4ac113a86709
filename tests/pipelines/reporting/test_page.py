"""The page of `melbeam report`: it says what the reports say, and what comes from data is only ever text."""

import html.parser
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers import encode, run, speech_like, tree, write
from melbeam.pipelines import extract, report, verify
from melbeam.pipelines.reporting.sections import quantity
from melbeam.transforms import FrontEnd
from melbeam.transforms.records.schema import SEGMENTS
from melbeam.transforms.records.segments import encode_segments
from melbeam.transforms.records.tf_example import to_example

HOSTILE = '<script>alert(1)</script><img src=http://x/ onerror="alert(1)">\'&amp;\u202e'
VERSION_1 = Path(__file__).parents[2] / "data/folder_of_version_1"
SECTIONS = ["first", "glance", "rejects", "changes", "distributions", "bins", "clips", "made-of"]
VOID = {"meta", "img", "br", "hr", "wbr", "link", "input"}


class Page(html.parser.HTMLParser):
    """A page, parsed: its elements with their attributes, and the text of each section."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.open, self.values = [], {}, [], []
        self.feed(text)
        assert self.open == []  # every element is closed

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append((tag, dict(attributes)))

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        section = next((found["id"] for tag, found in self.open if tag == "section"), "")
        self.text[section] = self.text.get(section, "") + data


def rows_of(folder):
    """This writes a clip of each kind, and gives the rows of its manifest, with hostile text in every field."""
    clips = {
        "spoken": speech_like(3.0),
        "silent": [0.0] * 16000,
        "clipped": [max(-1.0, min(1.0, 40 * sample)) for sample in speech_like(2.0, seed=1)],
        "too long": speech_like(31.0),
    }
    rows = []
    for number, (name, samples) in enumerate(clips.items()):
        (folder / f"{number}.wav").write_bytes(encode(samples))
        rows.append({"audio": f"{number}.wav", "id": name + HOSTILE, "text": HOSTILE, "speaker": HOSTILE})
    rows[2]["text"] = "x" * 200
    rows.append({"audio": "gone.wav", "id": HOSTILE, "text": "?"})
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of features, with hostile text in its path, in its front end and in every field of its corpus."""
    base = tmp_path_factory.mktemp("report")
    audio = base / "audio <b>&\"'"
    audio.mkdir()
    manifest = audio / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows_of(audio)), encoding="utf-8")
    front_end = base / "front_end.yaml"
    front_end.write_text(FrontEnd.load("gemma4").replace(name=HOSTILE).to_yaml(), encoding="utf-8")
    output = base / "features <b>&\"'"
    ran = run(
        extract,
        f"--input={manifest}",
        f"--output={output}",
        f"--front_end={front_end}",
        "--max_reject_fraction=1",
    )
    assert ran.status == 0, ran.text
    return output


@pytest.fixture(scope="module")
def page(folder):
    """Its page; of the folder, only this file is new."""
    before = tree(folder)
    found = parsed(folder, "--audio")
    after = tree(folder)
    after.pop("report.html")
    assert after == before
    return found


def parsed(folder, *arguments):
    ran = run(report, folder, *arguments)
    assert ran.status == 0, ran.text
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def check_self_contained(page):
    names = {tag for tag, _ in page.elements}
    assert not names & {"script", "link", "iframe", "object", "embed", "form", "base"}
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
            target = attributes.get(name) or "#"
            assert target.startswith(("#", "data:image/png;base64,", "data:audio/flac;base64,")), (
                tag,
                target[:80],
            )


def test_it_says_what_the_summary_says(folder, page):
    check_self_contained(page)
    assert [found["id"] for tag, found in page.elements if tag == "section"] == SECTIONS
    summary = json.loads((folder / "_melbeam/train/summary.json").read_text())
    glance = page.text["glance"]
    for title, value in (
        ("Clips", summary["num_features"]),
        ("Frames", summary["statistics"]["num_frames"]),
        ("Audio tokens", summary["distributions"]["num_audio_tokens"]["total"] >> 32),
        ("Records read", summary["records_read"]),
        ("Rejected", sum(summary["rejects"].values())),
        ("Shards", len(summary["shard_features"])),
    ):
        assert f"{title}{value:,}" in glance, glance
    assert f"Audio{summary['num_samples'] / 16000:.1f} s" in glance
    for reason, count in summary["rejects"].items():
        assert re.search(rf"{count}{100 * count / summary['records_read']:.3g} %{reason}", page.text["rejects"])
    # Each clip is pictured, and each histogram drawn: quantities that the summary has, and the bins at two sizes.
    pictures = [found["aria-label"] for tag, found in page.elements if tag == "svg"]
    assert sum(label.startswith("Log-mel") for label in pictures) == summary["num_features"] == 3
    assert sum(label.startswith("Histogram") for label in pictures) == len(summary["distributions"])
    assert len(pictures) == 3 + len(summary["distributions"]) + 2


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("peak_dbfs", -0.04, "0.0 dBFS"),
        ("peak_dbfs", -0.06, "−0.1 dBFS"),
        ("rms_dbfs", -200.0, "digital silence"),
        ("seconds", 1234.5, "1,234.50 s"),
        ("silent_fraction", 0.0012, "0.12 %"),
    ],
)
def test_a_quantity_as_a_person_reads_it(name, value, said):
    assert quantity(name, value) == said


def test_of_many_clips_the_worst_are_named(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    path = copy / "_melbeam/train/summary.json"
    summary = json.loads(path.read_text())
    histogram = summary["distributions"]["full_scale_fraction"]["histogram"]
    assert max(map(int, histogram)) > 0
    histogram["900"], summary["distributions"]["full_scale_fraction"]["count"] = 7, 10
    path.write_text(json.dumps(summary))
    text = " ".join(parsed(copy).text["first"].split())
    assert "8 clips have a thousandth of their samples or more at full scale" in text
    assert "leave them out.Above all clipped" in text
    assert text.count("Above all") == 1


def test_the_terminal_is_told_the_warnings_too(folder, tmp_path):
    ran = run(report, folder, f"--output={tmp_path}/page.html")
    lines = ran.text.splitlines()
    assert lines[0].startswith(f"{tmp_path}/page.html: 1 split, ")
    assert lines[1] == "  2 of 5 records were turned away: 1 not_found, 1 too_long."
    assert "  1 clip is near silence, below −60 dBFS. A muted channel, or a recording that failed?" in lines
    twice = run(report, folder, folder, "--split=train", f"--output={tmp_path}/page.html")
    assert twice.text.splitlines()[1:] == lines[1:]  # the same folder is shown once


def test_warnings_come_first_in_words(page):
    text = " ".join(page.text["first"].split())
    assert "2 of 5 records were turned away: 1 not_found, 1 too_long." in text
    assert "1 clip is near silence, below −60 dBFS." in text
    assert "1 clip has a thousandth of its samples or more at full scale: it is clipped." in text
    assert "1 clip hardly changes from beginning to end" in text
    assert "more than 30 characters of text a second" in text


def test_what_comes_from_data_is_text(folder, page):
    assert HOSTILE in page.text["clips"]
    assert HOSTILE in page.text["made-of"]
    assert f"{folder}" in page.text["made-of"]
    assert not [tag for tag, _ in page.elements if tag in ("img", "script")]


def test_the_sound_is_there_when_it_is_asked_for(page):
    assert sum(tag == "audio" for tag, _ in page.elements) == 3


@pytest.mark.slow
def test_the_page_is_no_fault_of_the_folder_and_has_no_sound_unasked(folder):
    assert not [tag for tag, _ in parsed(folder).elements if tag == "audio"]
    assert run(verify, folder).status == 0


@pytest.mark.slow
def test_a_source_that_is_gone_is_told(folder, tmp_path):
    copy = tmp_path / "features"
    shutil.copytree(folder, copy)
    plan = copy / "_melbeam/train/plan.jsonl"
    plan.write_text(plan.read_text().replace("manifest.jsonl", "other.jsonl"))
    page = parsed(copy, "--audio")
    assert not [tag for tag, _ in page.elements if tag == "audio"]
    assert "No sound: " in page.text["clips"]


@pytest.mark.slow
def test_two_stand_side_by_side(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    ran = run(report, folder, other, f"--output={tmp_path}/two.html")
    assert ran.status == 0, ran.text
    page = Page((tmp_path / "two.html").read_text(encoding="utf-8"))
    check_self_contained(page)
    heads = [found for tag, found in page.elements if tag == "th" and found.get("scope") == "col"]
    assert len(heads) == 2
    assert sum(found.get("aria-label", "").startswith("Log-mel") for _, found in page.elements) == 6


@pytest.mark.slow
def test_a_damaged_record_costs_its_own_picture(folder, tmp_path):
    copy = tmp_path / "features"
    shutil.copytree(folder, copy)
    (shard,) = copy.glob("train-*")
    data = bytearray(shard.read_bytes())
    data[5000] ^= 255  # in the first record
    shard.write_bytes(data)
    page = parsed(copy)
    assert sum(found.get("aria-label", "").startswith("Log-mel") for _, found in page.elements) == 2
    assert "record 0 (at byte 0)" in page.text["clips"]


@pytest.mark.slow
def test_what_is_unfinished_is_shown_as_far_as_it_goes(folder, tmp_path):
    copy = tmp_path / "features"
    shutil.copytree(folder, copy)
    (copy / "_melbeam/train/summary.json").unlink()
    page = parsed(copy)
    assert "1 of 1 shards are done, and only these are counted here" in page.text["first"]
    assert "Clips3" in page.text["glance"]


def test_a_folder_of_version_1_says_what_it_lacks(tmp_path):
    copy = tmp_path / "features"
    shutil.copytree(VERSION_1, copy)
    page = parsed(copy)
    assert "nothing is known: it was written with record version 1" in page.text["first"]
    assert "distributions" not in page.text
    assert "melbeam index" in page.text["clips"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--split=test"], "has no split 'test'; it has train"),
        (["nowhere"], "nowhere has no split that melbeam made: there is no folder nowhere"),
        (["--split=a b"], "--split must be letters"),
    ],
)
def test_a_wrong_call_is_refused(folder, arguments, said):
    ran = run(report, folder, *arguments)
    assert ran.status == 2
    assert said in ran.text


def test_a_split_that_has_only_begun_keeps_no_other_from_being_shown(folder, tmp_path):
    copied = tmp_path / "features"
    shutil.copytree(folder, copied)
    begun = copied / "_melbeam/test"
    begun.mkdir()
    for name in ("job.json", "plan.jsonl"):
        shutil.copy(copied / "_melbeam/train" / name, begun)
    ran = run(report, copied)
    assert (ran.status, f"split 'test' of {copied} is left out: no shard of it is done yet" in ran.text) == (
        0,
        True,
    )
    assert f"{copied}/report.html: 1 split" in ran.text
    ran = run(report, copied, "--split=test")
    assert (ran.status, "no shard of split 'test' is done yet" in ran.text) == (2, True)


@pytest.mark.slow
def test_the_same_folder_gives_the_same_page(folder, tmp_path):
    for name in ("a", "b"):
        assert run(report, folder, f"--output={tmp_path}/{name}.html").status == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_an_empty_text_is_counted_and_named_and_has_no_pace(tmp_path):
    texts = {"said": "as it is said", "empty": "", "blank": " \u3000\t", "lacks": None}
    rows = []
    for name, text in texts.items():
        (tmp_path / f"{name}.wav").write_bytes(encode(speech_like(1.0)))
        rows.append({"audio": f"{name}.wav", "id": name, **({} if text is None else {"text": text})})
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    output = tmp_path / "features"
    ran = run(extract, f"--input={tmp_path}/m.jsonl", f"--output={output}")
    assert "text: 1 of 4 feature records have one, in 2 it is empty (blank, empty)" in ran.text
    first = parsed(output).text["first"]
    assert "1 of 4 clips has no text." in first
    assert "2 clips have a text that is empty." in first
    assert "Slow text" not in first
    summary = json.loads((output / "_melbeam/train/summary.json").read_text())
    assert summary["distributions"]["characters_per_second"]["count"] == 1
    assert run(verify, output).status == 0
    turned_away = run(
        extract,
        f"--input={tmp_path}/m.jsonl",
        f"--output={tmp_path}/required",
        "--require=text",
        "--max_reject_fraction=1",
    )
    assert "1 converted + 3 rejected" in turned_away.text


def test_a_chunk_whose_text_is_its_own_is_no_warning(tmp_path):
    said = encode_segments([(0.0, 18.0, "first"), (20.0, 38.0, "second")])
    samples = encode(speech_like(40.0))
    for name, others in (("cut between", {SEGMENTS: said}), ("cut anywhere", {"text": "all of it"})):
        output = tmp_path / name
        write(output / "audio", [to_example({"audio": samples, "id": name, **others})])
        ran = run(extract, f"--input={output}/audio", f"--output={output}/f", "--on_long=chunk")
        assert ran.status == 0, ran.text
        warned = "2 chunks carry the text of their whole clip" in parsed(output / "f").text["first"]
        assert warned == (name == "cut anywhere")


def test_the_clips_that_are_named_are_those_that_are_counted(tmp_path):
    burst = speech_like(0.05)
    clips = {
        "muted": np.zeros(16000),
        "faint": np.tile(np.where(np.arange(1600) < 240, 0.002, 0.0), 10),  # -63 dBFS, 0.85 of it silent
        "pauses": np.concatenate([burst, np.zeros(16000 - len(burst))]),
    }
    write(
        tmp_path / "audio", [to_example({"audio": encode(samples), "id": name}) for name, samples in clips.items()]
    )
    assert run(extract, f"--input={tmp_path}/audio", f"--output={tmp_path}/f").status == 0
    text = " ".join(parsed(tmp_path / "f").text["first"].split())
    assert re.search(r"2 clips are near silence, below −60 dBFS\. [^?]*\?muted\W*faint", text)
    assert re.search(
        r"2 clips are silent for nine tenths of their length, or more\. [^.]*\.muted\W*pauses", text
    ), text
