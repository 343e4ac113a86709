"""melbeam verify finds planted faults, each, and nothing where there is none."""

import json
import os
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest

from helpers import run, wav, write
from melbeam.pipelines import extract, verify
from melbeam.pipelines.split.lock import SplitLock
from melbeam.pipelines.tfrecord import Record, read_tfrecord_file
from melbeam.transforms import FrontEnd
from melbeam.transforms.folder_layout import SplitFolder
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.tf_example import to_example


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two splits: train in two shards, with rejects; test, chunked."""
    folder = tmp_path_factory.mktemp("verify")
    for shard in range(2):
        clips = [to_example({"audio": wav(10 * shard + i, 0.3), "id": f"clip-{shard}-{i}"}) for i in range(4)]
        write(folder / f"train-{shard}", [*clips, b"\xff\xff", to_example({"id": "no audio"})])
    write(
        folder / "test-0",
        [to_example({"audio": wav(50, 31.0), "id": "long"}), to_example({"audio": wav(51, 0.3)})],
    )
    for split in SPLITS:
        assert extract_again(folder, folder / "features", split).status == 0
    return folder / "features"


SPLITS = {"train": "--max_reject_fraction=1", "test": "--on_long=chunk"}


def extract_again(source, folder, split, *more):
    """The command that made a split."""
    return run(
        extract, f"--input={source}/{split}-*", f"--output={folder}", f"--split={split}", SPLITS[split], *more
    )


@pytest.fixture
def folder(made, tmp_path):
    """A copy to plant faults in; the sources stay where the plan says."""
    return shutil.copytree(made, tmp_path / "features")


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def edit_record(path, index, change):
    """Rewrites one record, with right checksums, and makes the shard's report fit the new file."""
    records = [item.data for item in read_tfrecord_file(str(path)) if isinstance(item, Record)]
    example = Example.FromString(records[index])
    change(example.features.feature)
    records[index] = example.SerializeToString(deterministic=True)
    write_with_report(path, records)


def write_with_report(path, records):
    mark = write(path, records)
    split, number = path.name.split("-")[:2]
    edit(path.parent / f"_melbeam/{split}/reports/{number}.json", lambda report: report.update(features=mark))


def test_a_whole_folder_has_no_faults(folder):
    status, said = run(verify, folder)
    assert (status, said.splitlines()[-1]) == (0, "no faults, 0 warnings")
    assert "split train: 12 records read = 8 converted + 4 rejected; 8 features in 2 shards" in said
    assert "split test: 2 records read = 2 converted + 0 rejected; 3 features in 1 shard\n" in said


def test_an_interrupted_split_is_told_in_one_line_and_the_others_are_checked(folder):
    for path in ("_melbeam/train/summary.json", "_melbeam/train/reports/00001.json"):
        (folder / path).unlink()
    (folder / "train-00001-of-00002.tfrecord").unlink()
    status, said = run(verify, folder)
    lines = said.splitlines()
    assert status == 1
    assert lines[0].startswith(
        f"FAULT: {folder}/_melbeam/train: it is not finished, 1 of 2 shards are done; its job "
    )
    assert lines[0].endswith("the same melbeam extract command goes on from there")
    assert lines[1].startswith(f"{folder}, split test: 2 records read = 2 converted")
    assert lines[2:] == ["1 fault, 0 warnings"]


def test_a_split_at_work_is_told_so(folder):
    (folder / "_melbeam/test/summary.json").unlink()
    with SplitLock(SplitFolder(str(folder), "test")):
        status, said = run(verify, folder)
    assert status == 1
    assert f"process {os.getpid()} on {socket.gethostname()} is at work on it" in said.splitlines()[0]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("..", "{} holds no features itself: verify {}/features"),
        ("_melbeam", "{} is the bookkeeping of {folder}: verify that"),
        ("_melbeam/train", "{} is the bookkeeping of {folder}: verify that"),
        ("nowhere", "{} is no folder with anything in it"),
    ],
)
def test_a_folder_beside_the_right_one_is_a_wrong_call(folder, place, said):
    path = str(folder.parent) if place == ".." else f"{folder}/{place}"
    assert run(verify, path) == (2, f"melbeam: {said.format(path, path, folder=folder)} [MB501]\n")


def test_what_no_job_has_written_is_a_wrong_call(folder, tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/a.wav").write_bytes(wav())
    file = folder / "train-00000-of-00002.tfrecord"
    for path, why in [
        (tmp_path / "clips", f"{tmp_path}/clips is not what a finished `melbeam extract` leaves"),
        (file, f"it is a file: name its folder, {folder}"),
    ]:
        assert run(verify, str(path)) == (2, f"melbeam: {path} holds no features: {why} [MB501]\n")


def test_features_without_their_bookkeeping_are_a_fault(folder):
    shutil.rmtree(folder / "_melbeam")
    status, said = run(verify, folder)
    assert (status, "no split: there is no _melbeam/*/job.json" in said) == (1, True)


def swap_shards(folder):
    a, b = (folder / f"train-0000{i}-of-00002.tfrecord" for i in (0, 1))
    content = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(content)


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(bytes(data))


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


def set_bytes(name, value):
    return lambda features: features[name].bytes_list.value.__setitem__(0, value)


def set_int(name, value):
    return lambda features: features[name].int64_list.value.__setitem__(0, value)


def drop_row(features):
    value = features["input_features"].bytes_list.value
    value[0] = value[0][: -128 * 4]


def not_finite(features):
    value = features["input_features"].bytes_list.value
    value[0] = np.float32(np.nan).tobytes() + value[0][4:]


def drop_record(folder):
    path = folder / "train-00000-of-00002.tfrecord"
    records = [item.data for item in read_tfrecord_file(str(path))]
    write_with_report(path, records[1:])


def repeat_record(folder):
    path = folder / "train-00000-of-00002.tfrecord"
    records = [item.data for item in read_tfrecord_file(str(path))]
    write_with_report(path, [*records, records[0]])


SHARD = "train-00000-of-00002.tfrecord"
REPORT = "_melbeam/train/reports/00000.json"
FAULTS = {
    "swapped shards": (swap_shards, "is not the file that its report describes"),
    "a truncated shard": (lambda f: cut(f / SHARD), "is not the file that its report describes"),
    "a flipped byte": (lambda f: flip(f / SHARD, 300), "record 0, at byte 0, is bad_checksum"),
    "a missing shard": (lambda f: (f / SHARD).unlink(), f"{SHARD}: it is missing"),
    "a shard too many": (
        lambda f: shutil.copy(f / SHARD, f / "train-00002-of-00003.tfrecord"),
        "no shard of this split's plan",
    ),
    "a missing reject file": (
        lambda f: (f / "_melbeam/train/rejects/00000.tfrecord").unlink(),
        "rejects/00000.tfrecord: it is missing",
    ),
    "a reject file too many": (
        lambda f: shutil.copy(
            f / "_melbeam/train/rejects/00000.tfrecord", f / "_melbeam/train/rejects/00009.tfrecord"
        ),
        "rejects of no shard of the plan",
    ),
    "a missing report": (lambda f: (f / REPORT).unlink(), "no report of shard 0 of 2"),
    "a report of another job": (
        lambda f: edit(f / REPORT, lambda r: r.update(job_hash="0" * 64)),
        "it is not the report of shard 0 of 2",
    ),
    "an edited count in a report": (
        lambda f: edit(f / REPORT, lambda r: r.update(records_read=7)),
        "7 records read are not 4 converted + 2 rejected",
    ),
    "an edited count in dataset_info.json": (
        lambda f: edit(f / "dataset_info.json", lambda d: d["splits"][1].update(shardLengths=["4", "5"])),
        "splits[1].shardLengths[1] is 5, the reports come to 4",
    ),
    "an edited mean in statistics.json": (
        lambda f: edit(f / "statistics.json", lambda d: d["splits"]["train"]["per_bin_mean"].__setitem__(5, 0.0)),
        "splits.train.per_bin_mean[5] is 0.0",
    ),
    "an edited features.json": (
        lambda f: edit(f / "features.json", lambda d: d["featuresDict"]["features"].pop("num_samples")),
        "featuresDict.features.num_samples is None",
    ),
    "an edited front_end.json": (
        lambda f: edit(f / "front_end.json", lambda d: d["front_end"].update(mel_floor=0.5)),
        "front_end.mel_floor is 0.5, the reports come to 0.001",
    ),
    "a missing dataset_info.json": (lambda f: (f / "dataset_info.json").unlink(), "dataset_info.json: it cannot"),
    "an edited summary": (
        lambda f: edit(f / "_melbeam/train/summary.json", lambda d: d.update(num_samples=1)),
        "summary.json: it is not the sum of the reports",
    ),
    "an edited job.json": (
        lambda f: edit(f / "_melbeam/train/job.json", lambda d: d["identity"].update(dtype="float16")),
        "its hash is not that of what it says",
    ),
    "a count that no memory holds": (
        lambda f: edit(f / REPORT, lambda r: r.update(records_read=10**12)),
        "999999999994 records of ",
    ),
    "an edited number of a file's records": (
        lambda f: edit(f / REPORT, lambda r: r["rejected"].update(num_records=3)),
        "the records of its rejects are not those of the report: 2 are there, the report says 3",
    ),
    "a report that is no report": (
        lambda f: edit(f / REPORT, lambda r: r.update(rejects=["x"])),
        "no report of shard 0 of 2",
    ),
    "an edited number of samples": (
        lambda f: edit(f / REPORT, lambda r: r.update(num_samples=1)),
        "the samples are not those of the report: 19200 are there",
    ),
    "an edited plan": (
        lambda f: (f / "_melbeam/train/plan.jsonl").write_text(
            (f / "_melbeam/train/plan.jsonl").read_text().replace("null", "5")
        ),
        "it is not the plan that job.json was written for",
    ),
    "a split without its job.json": (
        lambda f: (f / "_melbeam/test/job.json").unlink(),
        "_melbeam/test: job.json or plan.jsonl cannot be read",
    ),
    "shards of no split": (
        lambda f: shutil.copy(f / SHARD, f / "dev-00000-of-00001.tfrecord"),
        "dev-00000-of-00001.tfrecord: no shard of the splits test, train",
    ),
    "a chunk that starts elsewhere": (
        lambda f: edit_record(f / "test-00000-of-00001.tfrecord", 1, set_int("start_sample", 1)),
        "id 'long#1' has start_sample 1",
    ),
    "features of another front end": (
        lambda f: edit_record(f / SHARD, 1, set_bytes("front_end", b"0" * 16)),
        "record 1: id 'clip-0-1' has front_end 0000000000000000",
    ),
    "a wrong shape": (lambda f: edit_record(f / SHARD, 1, drop_row), "has input_features of 28 rows"),
    "a wrong number of frames": (
        lambda f: edit_record(f / SHARD, 1, set_int("num_frames", 3)),
        "has num_frames 3",
    ),
    "a value that is not finite": (lambda f: edit_record(f / SHARD, 1, not_finite), "values that are not finite"),
    "a changed value": (
        lambda f: edit_record(f / SHARD, 1, set_bytes("input_features", bytes(29 * 128 * 4))),
        "the sums of the features are not those of the report",
    ),
    "a duplicate id": (
        lambda f: edit_record(f / SHARD, 1, set_bytes("id", b"clip-1-2")),
        "id 'clip-1-2' is given more than once",
    ),
    "a record that is neither feature nor reject": (drop_record, "are neither features nor rejects: 0"),
    "a record that is there twice": (repeat_record, "is here again, as a feature; before as a feature"),
    "no feature record": (
        lambda f: edit_record(f / SHARD, 1, lambda features: features.pop("num_samples")),
        "record 1: it is no feature record",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_it_finds(folder, name):
    plant, named = FAULTS[name]
    plant(folder)
    status, said = run(verify, folder)
    assert status == 1, said
    assert any(line.startswith("FAULT: ") and named in line for line in said.splitlines()), said


QUICK = ("a flipped byte", "a missing shard", "a split without its job.json", "an edited job.json")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FAULTS]
)
def test_what_it_says_is_to_be_done_mends_the_fault(made, folder, name):
    FAULTS[name][0](folder)
    commands = set()
    for line in run(verify, folder).text.splitlines():
        place, _, fault = line.removeprefix("FAULT: ").partition(": ")
        split = "test" if "/test-" in place or "_melbeam/test" in place else "train"
        if fault.endswith(("; remove it", "; move it away")):
            os.remove(place)
        elif "again" in fault:
            commands.add((split, *(option for option in ("--recheck", "--overwrite") if option in fault)))
        elif line.startswith("FAULT: "):  # right in itself, and written by nothing that melbeam has
            commands.add((split, "--overwrite"))
    for split, *options in sorted(commands):
        assert extract_again(made.parent, folder, split, *options).status == 0
    assert run(verify, folder).text.endswith("no faults, 0 warnings\n")


def test_it_finds_parts_of_a_file_that_do_not_meet(tmp_path):
    write(tmp_path / "in", [to_example({"audio": wav(i, 0.3), "id": f"clip-{i}"}) for i in range(8)])
    folder = tmp_path / "features"
    arguments = [f"--input={tmp_path}/in", f"--output={folder}", "--max_shard_bytes=20000"]
    assert extract.main(arguments) == 0
    assert run(verify, folder)[0] == 0
    edit(folder / "_melbeam/train/reports/00002.json", lambda report: report.update(first_record=3))
    status, said = run(verify, folder)
    assert status == 1
    assert "begins with record 3, the one before ends at 4" in said


def test_it_finds_a_split_of_another_front_end(folder, tmp_path):
    """Right in itself, and copied to where it does not belong."""
    write(tmp_path / "in", [to_example({"audio": wav(60, 0.3)})])
    other = tmp_path / "other"
    arguments = [f"--input={tmp_path}/in", f"--output={other}", "--split=dev", "--front_end=whisper"]
    assert run(extract, *arguments).status == 0
    shutil.copytree(other / "_melbeam/dev", folder / "_melbeam/dev")
    shutil.copy(other / "dev-00000-of-00001.tfrecord", folder)
    status, said = run(verify, folder)
    assert (status, "is not that of split 'dev'" in said) == (1, True), said


def test_it_finds_splits_of_models_that_take_other_lengths(tmp_path):
    """Their fingerprints are equal, and one front_end.json says the length of all."""
    write(tmp_path / "in", [to_example({"audio": wav(60, 0.3)})])
    for seconds, split in ((1.0, "dev"), (2.0, "train")):
        front_end = FrontEnd.load("whisper").replace(max_audio_length=seconds)
        (tmp_path / "short.yaml").write_text(front_end.to_yaml())
        arguments = [f"--input={tmp_path}/in", f"--output={tmp_path}/{split}", f"--split={split}"]
        assert run(extract, *arguments, f"--front_end={tmp_path}/short.yaml").status == 0
    shutil.copytree(tmp_path / "dev/_melbeam/dev", tmp_path / "train/_melbeam/dev")
    shutil.copy(tmp_path / "dev/dev-00000-of-00001.tfrecord", tmp_path / "train")
    status, said = run(verify, tmp_path / "train")
    assert (status, "model's length 200 frames is not that of split 'dev', 100 frames" in said) == (1, True), said


def test_many_faults_of_one_file_are_a_few_lines(tmp_path):
    write(tmp_path / "in", [to_example({"audio": wav(1, 0.3), "id": "one"})] * 60)
    assert run(extract, f"--input={tmp_path}/in", f"--output={tmp_path}/features").status == 0
    shard = tmp_path / "features/train-00000-of-00001.tfrecord"
    for index in range(50):
        edit_record(shard, index, set_bytes("front_end", b"0" * 16))
    status, said = run(verify, tmp_path / "features")
    assert (status, f"FAULT: {shard}: " in said, len(said.splitlines()) < 40) == (1, True, True), said
    assert " more faults" in said


def test_an_id_of_a_split_and_of_its_retried_rejects_is_a_duplicate(tmp_path):
    write(tmp_path / "in", [to_example({"audio": wav(1, 0.3), "id": "one"})])
    for split in ("train", "train_retried", "other"):
        arguments = [f"--input={tmp_path}/in", f"--output={tmp_path}/features", f"--split={split}"]
        assert run(extract, *arguments).status == 0
    status, said = run(verify, tmp_path / "features")
    faults = [line for line in said.splitlines() if line.startswith("FAULT: ")]
    assert (status, len(faults), "train+train_retried: id 'one' is given more" in faults[0]) == (1, 1, True), said


def test_it_needs_no_tensorflow(folder):
    code = f"""if True:
        import sys
        from melbeam.pipelines import verify
        assert verify.main([{str(folder)!r}]) == 0
        assert "tensorflow" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_the_same_audio_twice_is_a_warning(tmp_path):
    write(tmp_path / "in", [to_example({"audio": wav(1, 0.3)}), to_example({"audio": wav(1, 0.3)})])
    assert run(extract, f"--input={tmp_path}/in", f"--output={tmp_path}/features").status == 0
    status, said = run(verify, tmp_path / "features")
    assert (status, said.splitlines()[-1]) == (0, "no faults, 1 warning")
    assert "warning: train: the same audio, " in said


def test_what_an_attempt_left_is_a_warning(folder):
    left = folder / "_melbeam/train/tmp/00000/abc.features"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"")
    assert "warning: " in run(verify, folder)[1]
    assert run(verify, folder)[0] == 0


def test_wrong_calls(folder, tmp_path):
    assert run(verify, tmp_path / "nowhere")[0] == 2
    assert run(verify, folder, "--sample=0")[0] == 2


@pytest.mark.parametrize("package", ["transformers", "keras-hub"])
def test_against_a_reference(folder, package):
    pytest.importorskip(package.replace("-", "_"), reason=f"{package} is there in `make parity` only")
    status, said = run(verify, folder, f"--against={package}", "--sample=5")
    assert status == 0, said
    assert f"train: 5 records against {package}: at most" in said

    def roll(features):
        value = features["input_features"].bytes_list.value
        value[0] = np.roll(np.frombuffer(value[0], "<f4").reshape(-1, 128), 1, axis=0).tobytes()

    edit_record(folder / SHARD, 1, roll)  # the frames in another order: every sum is as it was
    assert run(verify, folder)[0] == 0
    status, said = run(verify, folder, f"--against={package}")
    assert (status, "id 'clip-0-1' is " in said, "these are not its features" in said) == (1, True, True), said


def test_a_reference_that_is_not_there_is_named(folder):
    import importlib.util

    if importlib.util.find_spec("transformers"):
        pytest.skip("it is there")
    status, said = run(verify, folder, "--against=transformers")
    assert (status, "pip install transformers" in said) == (2, True)
