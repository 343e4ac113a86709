"""Whole `ingest` jobs: a folder of audio files to TFRecords that `extract` reads."""

import json
import shutil
from importlib import resources

import numpy as np
import pytest
import tensorflow as tf

from helpers import clip, run, tree, write
from melbeam.pipelines import extract, ingest
from melbeam.pipelines.tfrecord import read_tfrecord_file
from melbeam.transforms import audio_example, read_features


def records(folder, pattern="train-*"):
    """Id and audio of each record of each file."""
    found = []
    for path in sorted(folder.glob(pattern)):
        examples = [tf.train.Example.FromString(item.data) for item in read_tfrecord_file(str(path))]
        features = [example.features.feature for example in examples]
        found.append([(f["id"].bytes_list.value[0].decode(), f["audio"].bytes_list.value[0]) for f in features])
    return found


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """WAV, FLAC, MP3 and Ogg in nested folders, with two other files; and the audio files' bytes by id."""
    folder = tmp_path_factory.mktemp("clips") / "clips"
    audio = {}
    for file in resources.files("melbeam.pipelines.demo_clips").iterdir():
        if file.name.endswith((".wav", ".flac", ".mp3", ".ogg")):
            name = f"{file.name.rsplit('.')[-1]}/deep er/{file.name}"
            audio[name] = file.read_bytes()
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(audio[name])
    (folder / "wav/notes.txt").write_text("not audio")
    (folder / "README").write_text("nor this")
    assert len(audio) == 8
    return folder, audio


@pytest.fixture(scope="module")
def ingested(clips, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ingested") / "audio"
    return run(ingest, f"--input={clips[0]}/**", f"--output={folder}", "--num_shards=3"), folder


def test_the_bytes_are_unchanged_and_the_ids_are_relative_paths(ingested, clips):
    (status, said), folder = ingested
    assert (status, "8 clips read = 8 written + 0 rejected\n  8 clips in 3 shards" in said) == (0, True), said
    assert "left out: 1 .txt file: " in said
    assert "left out: 1 file without an ending: " in said
    shards = records(folder)
    assert [record for shard in shards for record in shard] == sorted(clips[1].items())
    assert [len(shard) for shard in shards] == [3, 3, 2]


def test_nothing_else_is_left_in_the_folder(ingested):
    shards = [f"train-0000{i}-of-00003.tfrecord" for i in range(3)]
    assert sorted(p.name for p in ingested[1].iterdir()) == ["_melbeam", *shards]
    kept = sorted(p.name for p in (ingested[1] / "_melbeam/train").rglob("*") if p.is_file())
    assert kept == ["00000.json", "00001.json", "00002.json", "job.json", "plan.jsonl", "summary.json"]


def test_another_job_is_refused(ingested, clips):
    folder = ingested[1]
    before = tree(folder)
    again = run(ingest, f"--input={clips[0]}/**", f"--output={folder}", "--num_shards=2")
    assert (again.status, "pass --overwrite to replace the split" in again.text) == (2, True)
    assert tree(folder) == before


def test_the_same_job_goes_on_where_it_ended(ingested, clips):
    folder = ingested[1]
    before = tree(folder)
    command = [f"--input={clips[0]}/**", f"--output={folder}", "--num_shards=3"]
    again = run(ingest, *command)
    assert (again.status, "all were done by an earlier start" in again.text) == (0, True)
    assert tree(folder) == before
    (folder / "train-00001-of-00003.tfrecord").unlink()
    again = run(ingest, *command)
    assert (again.status, "8 clips in 3 shards" in again.text) == (0, True)
    assert tree(folder) == before


def test_what_a_killed_start_leaves_is_no_whole_corpus(ingested, tmp_path):
    """One of three shards is committed: extract would make features of a third of the clips."""
    audio = tmp_path / "audio"
    audio.mkdir()
    shutil.copy(ingested[1] / "train-00001-of-00003.tfrecord", audio)
    refused = run(extract, f"--input={audio}/train-*", f"--output={tmp_path}/features")
    assert (refused.status, "of a set of 3 files 2 are missing" in refused.text) == (2, True)
    taken = run(extract, f"--input={audio}/train-*", f"--output={tmp_path}/features", "--allow_missing_shards")
    assert taken.status == 0, taken.text


def test_what_cannot_be_read_is_a_reject_and_the_exit_status_tells(clips, tmp_path):
    rows = [{"audio": f"{clips[0]}/wav/deep er/01-morning.wav"}, {"audio": "gone.wav"}]
    (tmp_path / "m.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    command = [f"--input={tmp_path}/m.jsonl", f"--output={tmp_path}/audio"]
    ran = run(ingest, *command)
    assert (ran.status, "2 clips read = 1 written + 1 rejected" in ran.text) == (3, True), ran.text
    assert "rejected: 1 not_found: gone.wav" in ran.text
    assert run(ingest, *command, "--max_reject_fraction=0.5").status == 0


def test_clips_above_protobufs_2_gib_are_rejects(clips, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    shutil.copy(clips[0] / "wav/deep er/01-morning.wav", folder)
    with open(folder / "02-long.wav", "wb") as file:
        file.truncate(2_200_000_000)
    ran = run(ingest, f"--input={folder}", f"--output={tmp_path}/audio", "--max_reject_fraction=0.5")
    assert (ran.status, "rejected: 1 over_limit: 02-long.wav" in ran.text) == (0, True), ran.text
    assert [name for shard in records(tmp_path / "audio") for name, _ in shard] == ["01-morning.wav"]


def test_extract_reads_what_ingest_wrote(ingested, clips, tmp_path):
    assert run(extract, f"--input={ingested[1]}/train-*", f"--output={tmp_path}").status == 0
    found = {clip["id"].numpy().decode(): int(clip["num_frames"]) for clip in read_features(tmp_path)}
    assert sorted(found) == sorted(clips[1])
    assert all(150 < frames < 600 for frames in found.values())


def test_another_split_and_overwrite(clips, tmp_path):
    arguments = [f"--input={clips[0]}/ogg/**", f"--output={tmp_path}", "--split=test"]
    assert run(ingest, *arguments, "--num_shards=99").status == 0
    assert [len(shard) for shard in records(tmp_path, "test-*-of-00002.tfrecord")] == [1, 1]
    assert run(ingest, *arguments, "--num_shards=1", "--overwrite").status == 0
    assert [p.name for p in tmp_path.glob("*.tfrecord")] == ["test-00000-of-00001.tfrecord"]
    ids = [record_id for record_id, _ in records(tmp_path, "test-*")[0]]
    assert ids == ["deep er/07-market.ogg", "deep er/08-evening.ogg"]


def test_another_split_may_join(clips, tmp_path):
    for split in ("train", "test"):
        arguments = [f"--input={clips[0]}/wav/**", f"--output={tmp_path}", f"--split={split}", "--num_shards=1"]
        assert run(ingest, *arguments).status == 0
    assert records(tmp_path, "test-*") == records(tmp_path, "train-*")


def test_the_dry_run_shows_the_plan_and_writes_nothing(clips, tmp_path):
    shown = run(ingest, f"--input={clips[0]}/**", f"--output={tmp_path}/a", "--num_shards=3", "--dry_run")
    assert shown.status == 0
    assert not (tmp_path / "a").exists()
    names = [line for line in shown.text.splitlines() if " -> " in line]
    expected = [0, 0, 0, 1, 1, 1, 2, 2]  # as the shards of the same command without it
    assert names == [
        f"{clips[0]}/{name} -> {tmp_path}/a/train-0000{index}-of-00003.tfrecord"
        for name, index in zip(sorted(clips[1]), expected, strict=True)
    ]


def test_num_shards_is_refused_where_files_decide(tmp_path):
    write(tmp_path / "in-0", [audio_example(np.zeros(1600, np.int16), sampling_rate=16000)])
    ended = run(ingest, f"--input={tmp_path}/in-0", f"--output={tmp_path}/out", "--num_shards=2")
    assert ended.status == 2
    assert "--num_shards=2: tfrecord input" in ended.text
    assert "leave --num_shards out" in ended.text
    assert not (tmp_path / "out").exists()


def test_a_limit_takes_the_first_clips(clips, tmp_path):
    ended = run(ingest, f"--input={clips[0]}/**", f"--output={tmp_path}", "--num_shards=2", "--limit=3")
    assert (ended.status, "3 clips in 2 shards" in ended.text) == (0, True), ended.text
    ids = [record_id for shard in records(tmp_path) for record_id, _ in shard]
    assert [name.rsplit("/", 1)[-1] for name in ids] == [name.rsplit("/", 1)[-1] for name in sorted(clips[1])[:3]]


def test_a_limit_takes_as_many_of_files_that_would_be_cut(tmp_path):
    for name in "ab":
        write(tmp_path / f"{name}.tfrecord", [clip(f"{name}{number}", 0.1) for number in range(4)])
    size = (tmp_path / "a.tfrecord").stat().st_size
    job = [f"--input={tmp_path}/*.tfrecord", f"--output={tmp_path}/out", f"--shard_bytes={size // 2}", "--limit=6"]
    assert run(ingest, *job).status == 0
    ids = [[record_id for record_id, _ in shard] for shard in records(tmp_path / "out")]
    assert ids == [["a0", "a1", "a2", "a3"], ["b0", "b1"]]


def test_several_globs_name_a_file_once(clips, tmp_path):
    inputs = [f"--input={clips[0]}/wav/**", f"--input={clips[0]}/**.wav", f"--input={clips[0]}/mp3/**"]
    assert run(ingest, *inputs, f"--output={tmp_path}", "--num_shards=1").status == 0
    assert [name for name, _ in records(tmp_path)[0]] == sorted(n for n in clips[1] if n[:3] in ("wav", "mp3"))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--input={}/nothing/**"], "names no file"),
        (["--input={}/README"], "README is text, and begins with b'nor this': a manifest names its columns"),
        (["--input={}/**", "--num_shards=0"], "--num_shards must be at least 1, got 0"),
        (["--input={}/**", "--limit=0"], "--limit must be at least 1, got 0"),
        (["--input={}/**", "--num_shard=4"], "did you mean --num_shards?"),
        (["--input={}/**", "--split=a/b"], "--split must be letters"),
        (["--input={}/**", "--runner=DaskRunner"], "it loses data"),
        (["--input", "{}/wav/01-morning.wav", "{}/README"], "README' belongs to no option"),
    ],
)
def test_a_wrong_call_is_refused(clips, tmp_path, arguments, named):
    arguments = [argument.format(clips[0]) for argument in arguments]
    refused = run(ingest, *arguments, f"--output={tmp_path}/audio")
    assert (refused.status, named in refused.text) == (2, True), refused.text
    assert not (tmp_path / "audio").exists()
