"""What --dry_run shows of a source: which column is what, and its first clips."""

import json
from pathlib import Path

import pytest

from helpers import encode, run, write
from melbeam.pipelines import extract, ingest
from melbeam.pipelines.sources.planning import plan_units
from melbeam.pipelines.sources.preview import preview
from melbeam.pipelines.sources.units import SourceOptions
from melbeam.transforms.records.tf_example import to_example


def shown(pattern, **options):
    return preview(plan_units([pattern], SourceOptions(**options)).units)


@pytest.fixture
def manifest(tmp_path, monkeypatch, tone):
    monkeypatch.chdir(tmp_path)
    tone("a.wav", 0.5)
    tone("b.flac", 61.0)
    rows = [
        {"audio_filepath": "a.wav", "sentence": "hello \x1b[31m" + "x" * 100, "speaker": 7, "snr": 12.5},
        {"audio_filepath": "b.flac", "sentence": "all", "tags": ["a", "b", "c", "d"]},
        {"audio_filepath": "gone.wav", "sentence": "y"},
        {"audio_filepath": "a.wav", "sentence": "the fourth"},
    ]
    Path("m.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return tmp_path


def test_columns_and_clips_with_their_values(manifest):
    assert shown("m.jsonl") == [
        "manifest m.jsonl: audio from 'audio_filepath', text from 'sentence'",
        f'  a.wav: 0.5 s, text "hello \\x1b[31m{"x" * 49}...", snr 12.5, speaker 7',
        '  b.flac: 1 min 1 s, text "all", tags ["a", "b", "c", ...]',
        "  gone.wav: a reject, not_found: gone.wav is not there; once it can be read, `melbeam retry-rejects` "
        "takes it",
    ]


def test_it_goes_on_in_the_next_unit(manifest):
    assert len(shown("m.jsonl", shard_bytes=1)) == 4


def test_records_of_other_names_and_what_is_no_record(tmp_path):
    clip = {"data/speech": encode([0.0] * 1600), "key": "k", "image": b"\xff\xfe\xfd"}
    write(tmp_path / "a", [to_example(clip), b"\xff no Example", to_example({"data/speech": b"no file"})])
    lines = shown(f"{tmp_path}/a", columns={"audio": "data/speech", "id": "key"})
    assert lines[0] == f"tfrecord {tmp_path}/a: audio from 'data/speech', id from 'key'"
    assert lines[1] == "  k: 0.1 s, image of 3 bytes"
    assert "a reject, not_an_example" in lines[2]
    assert lines[3].endswith(": of unknown length")


def test_a_text_under_another_name_is_pointed_at(tmp_path):
    clip = {"audio": encode([0.0] * 1600), "id": "k", "txt": "said", "speaker": 7, "image": b"\xff\xfe"}
    write(tmp_path / "a", [to_example(clip)])
    hint = "  none of these has a text: --columns=text=NAME takes it from where it is (txt)"
    assert shown(f"{tmp_path}/a")[2:] == [hint]
    assert len(shown(f"{tmp_path}/a", columns={"text": "txt"})) == 2
    write(tmp_path / "b", [to_example(clip), to_example({**clip, "text": "said"})])
    assert len(shown(f"{tmp_path}/b")) == 3


@pytest.mark.parametrize("job", [extract, ingest])
def test_a_dry_run_shows_it_and_writes_nothing(manifest, job):
    status, said = run(job, "--input=m.jsonl", "--output=out", "--dry_run")
    assert (status, Path("out").exists()) == (0, False)
    assert "text from 'sentence'\n  a.wav: 0.5 s, text " in said
