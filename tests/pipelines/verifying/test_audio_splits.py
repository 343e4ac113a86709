"""What `melbeam ingest` wrote, verified: all that its reports say is counted again from the records."""

import json
import shutil

import pytest

from helpers import clip, encode, run, speech_like, wav, write
from melbeam.pipelines import clean, extract, ingest, verify
from melbeam.transforms.records.tf_example import to_example

PLAIN = "more-00000-of-00001.tfrecord"
DIVIDED = "train-00000-of-00001.tfrecord"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Splits train and test of one division, and more, which leaves their clips out; with rejects of both."""
    folder = tmp_path_factory.mktemp("corpus")
    for number in range(8):
        (folder / f"{number}.wav").write_bytes(wav(number, 0.1 + 0.01 * number))
    (folder / "8.bin").write_bytes(b"nothing whose length a header tells")
    rows = [{"audio": f"{number}.wav", "text": f"text {number}"} for number in range(6)]
    rows += [{"audio": "8.bin"}, {"audio": "gone.wav"}]
    (folder / "corpus.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    later = [*rows, {"audio": "6.wav"}, {"audio": "7.wav"}, {"text": "no audio"}]
    (folder / "later.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in later))
    for source, options in (
        ("corpus", ["--split=train=0.6,test=0.4", "--shuffle_seed=1"]),
        ("later", ["--split=more", "--not_in=train+test"]),
    ):
        call = [f"--input={folder}/{source}.jsonl", f"--output={folder}/audio", "--max_reject_fraction=1"]
        assert run(ingest, *call, *options).status == 0
    return folder / "audio"


@pytest.fixture
def folder(folders, made, tmp_path):
    return folders.Folder(shutil.copytree(made, tmp_path / "audio"))


def test_what_is_whole_has_no_faults(folder):
    status, said = folder.verify()
    assert (status, "no faults, 0 warnings" in said) == (0, True), said
    # Clips that the other splits have are left out, and what was a reject there is read again.
    assert "split more: 4 clips read = 2 written + 2 rejected; 0.3 s of audio in 1 shard" in said


@pytest.mark.parametrize("shard", [PLAIN, DIVIDED])
@pytest.mark.parametrize(
    "name", ["records_read", "microseconds", "unknown_lengths", "left_out", "damaged_bytes", "num_features"]
)
def test_every_count_is_counted_again(folder, shard, name):
    def plant(report):
        report[name] += 1

    folder.edit_report(shard, plant)
    split = shard.partition("-")[0]
    folder.edit(f"_melbeam/{split}/summary.json", plant)
    status, said = folder.verify()
    assert status == 1, said
    assert {"left_out": "left out"}.get(name, name) in said or "are not" in said
    assert "extract again" not in said  # which would make nothing of audio


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (lambda folder: folder.file(PLAIN).write_bytes(b""), "it is not the file that its report describes"),
        (lambda folder: folder.file(PLAIN).unlink(), "it is missing"),
        (lambda folder: shutil.rmtree(folder.file("_melbeam/test")), "split 'test', which was made together with"),
        (lambda folder: folder.file("_melbeam/more/reports/00000.json").unlink(), "no report of shard 0"),
        (lambda folder: folder.file("_melbeam/more/plan.jsonl").write_text(""), "it is not the plan that"),
        (
            lambda folder: folder.edit_report(PLAIN, lambda report: report["rejects"].update(bad_row=2)),
            "rejects.bad_row is 2, the records come to 1",
        ),
        (
            lambda folder: folder.edit_report(PLAIN, lambda report: report["features"].update(num_records=9)),
            "features.num_records is 9, the records come to 2",
        ),
        (
            lambda folder: folder.edit_report(PLAIN, lambda report: report["rejected"].update(num_records=9)),
            "rejected.num_records is 9, the records come to 2",
        ),
        (
            lambda folder: folder.file(f"{PLAIN}.gz").write_bytes(b""),
            "no shard of this split's plan: readers that glob will take it",
        ),
        (
            lambda folder: folder.edit("_melbeam/more/summary.json", lambda found: found.update(num_bytes=1)),
            "it is not the sum of the reports: num_bytes",
        ),
    ],
)
def test_what_is_wrong_is_told(folder, plant, told):
    plant(folder)
    status, said = folder.verify()
    assert (status, told in said) == (1, True), said


def test_what_starts_left_that_were_killed_is_told_and_cleaned(folder):
    left = ["_melbeam/more/summary.json.1234abcd.tmp", "_melbeam/more/gathered/clips-00000-of-00001.tfrecord"]
    left.append("_melbeam/more/tmp/00000/abc.features")
    for name in left:
        folder.file(name).parent.mkdir(parents=True, exist_ok=True)
        folder.file(name).write_bytes(b"x")
    status, said = folder.verify()
    assert status == 0, said
    assert all(f"{name}: left by an attempt that did not end; `melbeam clean` removes it" in said for name in left)
    assert run(clean, folder.file(".")).status == 0
    assert "no faults, 0 warnings" in folder.verify().text


def test_a_clip_that_was_put_in_anothers_place(folder):
    """With a report that fits it."""
    records = folder.records(PLAIN)
    mark = write(folder.file(PLAIN), [clip("6.wav", 0.5), records[1]])
    folder.edit_report(PLAIN, lambda report: report.update(features=mark))
    assert "microseconds is 330000, the records come to 670000" in folder.verify().text


def test_a_job_that_was_interrupted_is_told_by_its_name(folder):
    folder.file("_melbeam/more/summary.json").unlink()
    assert "the same melbeam ingest command goes on from there" in folder.verify().text


def test_no_reference_makes_anything_of_audio(folder):
    assert folder.verify("--against=transformers").status == 2


def test_parts_of_a_file_whose_clips_are_left_out_account_for_all_of_it(tmp_path):
    """Where the parts of a TFRecord file begin counts what is left out, too."""
    clips = [to_example({"audio": encode(speech_like(0.3, n), kind="FLAC"), "id": f"c{n}"}) for n in range(12)]
    write(tmp_path / "known/a", clips[2:9])
    write(tmp_path / "all/a", clips)
    size = (tmp_path / "all/a").stat().st_size
    for job, split, more in ((extract, "train", []), (extract, "rest", ["--not_in=train"])):
        source = "known" if split == "train" else "all"
        call = [f"--input={tmp_path}/{source}/a", f"--output={tmp_path}/out", f"--split={split}"]
        assert run(job, *call, *more, f"--shard_bytes={size // 4}").status == 0
    status, said = run(verify, tmp_path / "out")
    assert (status, "no faults" in said) == (0, True), said
    assert "split rest: 5 records read" in said
    report = tmp_path / "out/_melbeam/rest/reports/00001.json"
    content = json.loads(report.read_text())
    assert content["left_out"]
    content["left_out"] -= 1
    report.write_text(json.dumps(content))
    assert "begins with record" in run(verify, tmp_path / "out").text
