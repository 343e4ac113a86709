"""`ingest` that divides and shuffles: every clip once, in its own split, in the same bytes however it is run."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from helpers import run, tree, wav, write
from melbeam.pipelines import clean, extract, files, ingest, verify
from melbeam.pipelines.ingesting import pipeline as ingesting_pipeline
from melbeam.pipelines.split.leftovers import gathered
from melbeam.pipelines.tfrecord import read_tfrecord_file
from melbeam.transforms import audio_example
from melbeam.transforms.records.example_proto import Example
from melbeam.transforms.records.tf_example import to_example

NUM_CLIPS = 40
SPLITS = "--split=train=0.8,validation=0.1,test=0.1"
BY_SPEAKER = [SPLITS, "--split_by=speaker", "--shuffle_seed=7", "--num_shards=3"]


def ids_of(folder, split):
    """The ids of each shard of a split, and the speakers of the split."""
    shards, speakers = [], set()
    for path in sorted(Path(folder).glob(f"{split}-?????-of-*.tfrecord")):
        features = [Example.FromString(item.data).features.feature for item in read_tfrecord_file(str(path))]
        shards.append([each["id"].bytes_list.value[0].decode() for each in features])
        speakers |= {each["speaker"].int64_list.value[0] for each in features}
    return shards, speakers


def joined(folder, split):
    return [name for shard in ids_of(folder, split)[0] for name in shard]


def summary(folder, split):
    return json.loads((Path(folder) / f"_melbeam/{split}/summary.json").read_text())


def rejects_of(folder):
    """Source and reason of each reject, of all splits."""
    found = []
    for path in sorted(Path(folder).glob("_melbeam/*/rejects/*")):
        for item in read_tfrecord_file(str(path)):
            features = Example.FromString(item.data).features.feature
            found.append(tuple(features[name].bytes_list.value[0].decode() for name in ("source", "reason")))
    return sorted(found)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A manifest of 40 clips of 9 speakers in an order that is not that of their names; one clip is not there."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = []
    for number in range(NUM_CLIPS):
        name = f"{(number * 7) % NUM_CLIPS:02d}.wav"
        (folder / name).write_bytes(wav(number, 0.1 + 0.01 * number))
        rows.append({"audio": name, "text": f"text {number}", "speaker": number % 9})
    rows.insert(11, {"audio": "gone.wav", "text": "", "speaker": 2})
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder, [row["audio"] for row in rows if row["audio"] != "gone.wav"]


def ingested(corpus, output, *arguments):
    return run(
        ingest, f"--input={corpus[0]}/corpus.jsonl", f"--output={output}", "--max_reject_fraction=0.1", *arguments
    )


@pytest.fixture(scope="module")
def divided(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("divided") / "audio"
    return ingested(corpus, folder, *BY_SPEAKER), folder


class TestDivided:
    def test_each_clip_is_in_one_split_once_and_each_speaker_in_one(self, divided, corpus):
        (status, said), folder = divided
        assert status == 0, said
        found = {split: ids_of(folder, split) for split in ("train", "validation", "test")}
        names = [name for shards, _ in found.values() for shard in shards for name in shard]
        assert sorted(names) == sorted(corpus[1])
        speakers = [speaker for _, of_split in found.values() for speaker in of_split]
        assert sorted(speakers) == list(range(9))

    def test_what_was_read_is_written_or_rejected_and_said_with_its_hours(self, divided):
        (_, said), folder = divided
        assert "splits train, validation, test: 41 clips read = 40 written + 1 rejected" in said
        assert "rejected: 1 not_found: gone.wav" in said
        for split in ("train", "validation", "test"):
            found = summary(folder, split)
            clips = joined(folder, split)
            assert found["records_read"] == found["records_converted"] + sum(found["rejects"].values())
            assert found["records_converted"] == found["num_features"] == len(clips)
            assert f"  {split}: {len(clips)} clips in {len(found['shard_features'])} shard" in said
            assert f"; {found['microseconds'] / 1e6:.1f} s of audio" in said
        # The clips last 0.1, 0.11, ... 0.49 s.
        assert sum(summary(folder, s)["microseconds"] for s in ("train", "validation", "test")) == 11_800_000

    def test_the_reject_is_in_its_speakers_split(self, divided):
        folder = divided[1]
        (split,) = [name for name in ("train", "validation", "test") if 2 in ids_of(folder, name)[1]]
        assert list((folder / f"_melbeam/{split}/rejects").iterdir())

    def test_nothing_else_is_left_in_the_folder(self, divided):
        kept = {str(path.relative_to(divided[1])).split("/")[-2:][0] for path in divided[1].rglob("*")}
        assert not {"gathered", "clips"} & kept
        assert "lock.json" not in {path.name for path in divided[1].rglob("*")}

    def test_the_shards_of_a_split_are_equally_large(self, divided):
        sizes = [len(shard) for shard in ids_of(divided[1], "train")[0]]
        assert (len(sizes), max(sizes) - min(sizes) <= 1) == (3, True)

    def test_the_same_command_goes_on_where_it_ended(self, divided, corpus):
        folder = divided[1]
        before = tree(folder)
        again = ingested(corpus, folder, *BY_SPEAKER)
        assert (again.status, "all of the shards were done by an earlier start" in again.text) == (0, True)
        assert tree(folder) == before
        (folder / "train-00001-of-00003.tfrecord").unlink()
        assert ingested(corpus, folder, *BY_SPEAKER).status == 0
        assert tree(folder) == before

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            ([*BY_SPEAKER[:2], "--shuffle_seed=8", "--num_shards=3"], "division was"),
            (["--split=test"], "holds split 'test' of another job"),
            (["--split=a=0.5,test=0.5"], "holds split 'test' of another job"),
        ],
    )
    def test_another_job_is_refused_and_touches_none_of_the_splits(self, divided, corpus, arguments, named):
        before = tree(divided[1])
        refused = ingested(corpus, divided[1], *arguments)
        assert (refused.status, named in refused.text) == (2, True), refused.text
        assert tree(divided[1]) == before
        assert not (divided[1] / "_melbeam/a").exists()

    @pytest.mark.slow
    def test_extract_takes_a_split(self, divided, tmp_path):
        ended = run(extract, f"--input={divided[1]}/test-*", f"--output={tmp_path}", "--split=test")
        assert (ended.status, "0 rejected" in ended.text) == (0, True), ended.text


class TestOrder:
    def test_a_seed_gives_an_order_of_its_own_and_no_seed_keeps_the_inputs(self, divided, corpus, tmp_path):
        assert ingested(corpus, tmp_path, SPLITS, "--split_by=speaker", "--num_shards=2").status == 0
        kept = joined(tmp_path, "train")
        assert kept == sorted(kept, key=corpus[1].index)
        shuffled = joined(divided[1], "train")
        assert sorted(shuffled) == sorted(kept)
        assert shuffled != kept
        # Of an order of 30 or so by chance, about half of the neighbours ascend.
        rising = sum(corpus[1].index(a) < corpus[1].index(b) for a, b in pairwise(shuffled))
        assert 5 < rising < len(shuffled) - 5

    @pytest.mark.slow
    def test_one_split_may_be_shuffled_and_the_units_of_the_input_do_not_show(self, corpus, tmp_path):
        """Units of 400 B are some rows each; the order is that of one unit of all rows."""
        for name, size in (("a", 256 << 20), ("b", 400)):
            ended = ingested(
                corpus, tmp_path / name, "--shuffle_seed=1", "--num_shards=2", f"--shard_bytes={size}"
            )
            assert ended.status == 0, ended.text
        assert len((tmp_path / "b/_melbeam/train/plan.jsonl").read_text().splitlines()) > 3
        shards = [sorted(tree(tmp_path / name, "*.tfrecord").items()) for name in ("a", "b")]
        assert [p for p in shards[0] if "rejects" not in p[0]] == [p for p in shards[1] if "rejects" not in p[0]]
        assert len(joined(tmp_path / "a", "train")) == NUM_CLIPS

    @pytest.mark.slow
    def test_by_shard_bytes(self, corpus, tmp_path):
        assert ingested(corpus, tmp_path, "--split=a=0.9,b=0.1", "--shard_bytes=60000").status == 0
        for split in ("a", "b"):
            sizes = [path.stat().st_size for path in tmp_path.glob(f"{split}-*")]
            assert len(sizes) == -(-sum(sizes) // 60_500)  # a frame adds 16 B to each record
            assert max(sizes) < 80_000


@pytest.mark.slow
def test_a_clip_stays_in_its_split_when_others_are_added(corpus, tmp_path):
    for name, limit in (("few", 15), ("all", 99)):
        assert ingested(corpus, tmp_path / name, SPLITS, f"--limit={limit}").status == 0
    for split in ("train", "validation", "test"):
        few, every = set(joined(tmp_path / "few", split)), set(joined(tmp_path / "all", split))
        assert few == every & {
            name for other in ("train", "validation", "test") for name in joined(tmp_path / "few", other)
        }


@pytest.mark.slow
def test_an_empty_split_has_a_shard_and_a_warning(corpus, tmp_path):
    ended = ingested(corpus, tmp_path, "--split=train=0.999999,test=0.000001", "--num_shards=4")
    assert ended.status == 0
    assert f"split 'test' of {tmp_path} is empty: none of the clips fell to it" in ended.text
    assert [path.stat().st_size for path in tmp_path.glob("test-*")] == [0]


def test_of_an_input_without_records_no_larger_fraction_is_asked(tmp_path):
    (tmp_path / "none.tfrecord").write_bytes(b"")
    ended = run(
        ingest, f"--input={tmp_path}/none.tfrecord", f"--output={tmp_path}/a", "--split=train=0.5,test=0.5"
    )
    for split in ("train", "test"):
        assert f"the input has no records: split '{split}' of {tmp_path}/a is empty" in ended.text
    assert (ended.status, "fraction" in ended.text) == (0, False)


@pytest.mark.parametrize("how", ["the same command", "clean"])
@pytest.mark.parametrize("when", ["before", "between files and folders"])
def test_what_was_gathered_goes_though_the_job_was_killed_while_it_removed_it(
    corpus, tmp_path, monkeypatch, when, how
):
    def kill(folder):
        if when != "before":
            files.delete(gathered(folder))
        raise OSError("killed")

    division = ("--split=train=0.5,test=0.5", "--limit=9")
    monkeypatch.setattr(ingesting_pipeline, "delete_gathered", kill)
    assert ingested(corpus, tmp_path, *division).status == 1
    assert (tmp_path / "_melbeam/train/gathered").is_dir()
    monkeypatch.undo()
    ended = ingested(corpus, tmp_path, *division) if how == "the same command" else run(clean, tmp_path)
    assert ended.status == 0
    assert not (tmp_path / "_melbeam/train/gathered").exists()
    assert run(verify, tmp_path).status == 0


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    for shard in range(3):
        clips = [audio_example(wav(10 * shard + n), id=f"{shard}-{n}", speaker=f"s{n}") for n in range(8)]
        unnamed = audio_example(wav(90 + shard), speaker="s1")
        no_speaker = audio_example(wav(95 + shard), id=f"{shard}-nobody")
        twice = audio_example(wav(99), id="twice", speaker="s2")
        write(folder / f"in-{shard}", [*clips, unnamed, b"\xff\xff", no_speaker, twice])
        with open(folder / f"in-{shard}", "r+b") as file:
            file.seek(40)  # in the first record's data
            file.write(b"xxxx")
            file.seek(0, 2)
            file.write(b"no record at all")
    return folder


@pytest.fixture(scope="module")
def made(damaged, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    arguments = [f"--input={damaged}/in-*", "--max_reject_fraction=1", "--num_shards=2", "--shuffle_seed=3"]
    return run(ingest, *arguments, f"--output={folder}", SPLITS, "--split_by=speaker"), folder


class TestDamaged:
    """TFRecords with bytes of no record, records that are none, clips without the column, and one id twice."""

    def test_nothing_is_lost_or_doubled(self, made):
        (status, said), folder = made
        # In each file: 7 whole clips, one without an id and "twice" are written.
        assert (status, "39 clips read = 27 written + 12 rejected" in said) == (0, True), said
        found = [summary(folder, split) for split in ("train", "validation", "test")]
        assert sum(each["records_read"] for each in found) == 39
        assert sum(each["damaged_bytes"] for each in found) == 3 * len(b"no record at all")
        assert f"damaged: {3 * 16} bytes that belong to no record" in said
        shards = [item for path in folder.glob("*.tfrecord") for item in read_tfrecord_file(str(path))]
        assert len(shards) == 27

    def test_each_reject_says_where_it_lay_and_why(self, made, damaged):
        reasons = {0: "bad_checksum", 9: "not_an_example", 10: "bad_field", 12: "bad_framing"}
        assert rejects_of(made[1]) == sorted(
            (f"{damaged}/in-{shard}#{number}", reason) for shard in range(3) for number, reason in reasons.items()
        )

    def test_a_column_that_no_clip_has_is_refused_before_any_work(self, damaged, tmp_path):
        refused = run(ingest, f"--input={damaged}/in-*", f"--output={tmp_path}/o", SPLITS, "--split_by=spaeker")
        assert refused.status == 2
        assert (
            "--split_by=spaeker: no feature 'spaeker', which --split_by names; the record has id, " in refused.text
        )
        assert "--columns=spaeker=THEIRS" in refused.text
        assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--split=train=0.9,test=0.2"], "the fractions must sum to 1, and sum to 1.1"),
        (["--split=train=0.9,test/x=0.1"], "letters, digits and underscores, got 'test/x'"),
        (["--split_by=speaker"], "--split_by=speaker says by what clips are divided, and --split=train names one"),
        ([SPLITS, "--num_shards=0"], "--num_shards must be at least 1, got 0"),
        (["--shuffle_seed=x"], "argument --shuffle_seed: invalid int value: 'x'"),
        (["--not_in=train"], "'train' is the split that is to be made"),
        (["--split=train_2", "--not_in=train"], "has no split 'train'; it has none"),
        (["--split=train_2", "--not_in="], "has no split ''; it has none"),
    ],
)
def test_a_wrong_call_is_refused(corpus, tmp_path, arguments, named):
    refused = ingested(corpus, tmp_path / "audio", *arguments)
    assert (refused.status, named in refused.text) == (2, True), refused.text
    assert not (tmp_path / "audio").exists()


def test_the_dry_run_shows_the_clips_and_the_splits(tmp_path):
    for name in (b"a.wav", b"\xff.wav"):  # the second one's name is no text
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(wav())
    shown = run(ingest, f"--input={tmp_path}/*.wav", f"--output={tmp_path}/a", SPLITS, "--dry_run")
    assert shown.status == 0
    assert [line for line in shown.text.splitlines() if " -> " in line] == [
        f"{tmp_path}/{name} -> {tmp_path}/a, train or validation or test" for name in ("a.wav", "%FF.wav")
    ]
    assert not (tmp_path / "a").exists()


@pytest.fixture(scope="module")
def before(corpus, tmp_path_factory):
    """A folder whose splits have the first 20 clips."""
    folder = tmp_path_factory.mktemp("before")
    assert ingested(corpus, folder, "--split=train=0.7,test=0.3", "--limit=21").status == 0
    return folder


def test_not_in_passes_over_records_of_no_clip(tmp_path):
    """`ingest` copies them as they are, and what it leaves out is told by ids, which they have none of."""
    known, fresh = (audio_example(wav(number), id=f"{number}") for number in range(2))
    others = [b"\xff\xff", to_example({"text": "no id, and no audio"})]
    write(tmp_path / "first", [known, *others])
    write(tmp_path / "second", [known, fresh, *others])
    assert run(ingest, f"--input={tmp_path}/first", f"--output={tmp_path}/audio").status == 0
    command = [f"--input={tmp_path}/second", f"--output={tmp_path}/audio", "--split=new", "--not_in=train"]
    ended = run(ingest, *command)
    assert (ended.status, "3 written + 0 rejected, 1 left out" in ended.text) == (0, True), ended.text
    (shard,) = (tmp_path / "audio").glob("new-*.tfrecord")
    assert [item.data for item in read_tfrecord_file(str(shard))] == [fresh, *others]


@pytest.mark.slow
class TestNotIn:
    def test_only_clips_that_the_named_splits_have_not_are_taken(self, before, corpus):
        ended = ingested(corpus, before, "--split=train_2", "--not_in=train,test")
        assert (ended.status, "21 clips read = 20 written + 1 rejected, 20 left out" in ended.text) == (0, True)
        assert "(in train, test already)" in ended.text
        assert joined(before, "train_2") == corpus[1][20:]

    def test_other_splits_do_not_count(self, before, corpus):
        ended = ingested(corpus, before, "--split=train_3", "--not_in=train")
        assert ended.status == 0
        assert joined(before, "train_3") == [name for name in corpus[1] if name not in joined(before, "train")]

    def test_what_is_left_may_be_divided_and_shuffled(self, before, corpus):
        arguments = ["--split=more=0.5,rest=0.5", "--not_in=train+test", "--shuffle_seed=5"]
        ended = ingested(corpus, before, *arguments)
        assert (ended.status, "21 clips read = 20 written + 1 rejected, 20 left out" in ended.text) == (0, True)
        assert sorted(joined(before, "more") + joined(before, "rest")) == sorted(corpus[1][20:])

    def test_the_same_command_goes_on_and_others_are_refused(self, before, corpus):
        made = tree(before)
        command = [before, "--split=train_2", "--not_in=train,test"]
        if "_melbeam/train_2/summary.json" not in made:
            assert ingested(corpus, *command).status == 0
            made = tree(before)
        assert ingested(corpus, *command).status == 0
        assert tree(before) == made
        refused = ingested(corpus, before, "--split=train_2", "--not_in=train")
        assert (refused.status, "not_in was" in refused.text) == (2, True), refused.text

    def test_a_split_that_is_not_finished_is_refused(self, before, corpus, tmp_path):
        folder = tmp_path / "audio"
        shutil.copytree(before, folder)
        (folder / "_melbeam/test/summary.json").unlink()
        refused = ingested(corpus, folder, "--split=train_9", "--not_in=train+test")
        assert (refused.status, "split 'test' of" in refused.text, "is not finished" in refused.text) == (
            2,
            True,
            True,
        )
        refused = ingested(corpus, folder, "--split=train_9", "--not_in=train+dev")
        assert (refused.status, "has no split 'dev'; it has " in refused.text) == (2, True), refused.text

    def test_a_damaged_split_ends_the_job(self, before, corpus, tmp_path):
        folder = tmp_path / "audio"
        shutil.copytree(before, folder)
        (shard,) = folder.glob("train-0*")
        data = bytearray(shard.read_bytes())
        data[200] ^= 1
        shard.write_bytes(data)
        failed = ingested(corpus, folder, "--split=train_9", "--not_in=train")
        assert (failed.status, "so that --not_in cannot tell its clip" in failed.text) == (1, True), failed.text

    def test_a_split_that_lacks_a_record_ends_the_job(self, before, corpus, tmp_path):
        folder = tmp_path / "audio"
        shutil.copytree(before, folder)
        shard = next(folder.glob("train-0*"))
        records = [item.data for item in read_tfrecord_file(str(shard))]
        write(shard, records[1:])
        failed = ingested(corpus, folder, "--split=train_9", "--not_in=train")
        what = f"--not_in: {len(records) - 1} of {len(records)} ids of 'train' of {folder} were read"
        assert (failed.status, what in failed.text) == (1, True), failed.text

    def test_where_all_are_known_it_is_said(self, before, corpus, tmp_path):
        folder = tmp_path / "audio"
        shutil.copytree(before, folder)
        ended = ingested(corpus, folder, "--split=none_new", "--not_in=train+test", "--limit=11")
        assert ended.status == 0
        assert "--not_in leaves all 11 clips of the input out: split 'none_new' of" in ended.text


def test_what_a_split_has_is_left_out_of_another(divided, corpus):
    options = ["--split=more", "--not_in=train+validation", "--max_reject_fraction=1"]
    ended = ingested(corpus, divided[1], *options)
    assert (ended.status, "left out (in train, validation already)" in ended.text) == (0, True), ended.text
    assert sorted(joined(divided[1], "more")) == sorted(joined(divided[1], "test")) != []


MODES = ["in_memory", "multi_threading", "multi_processing"]


def command(corpus, output, *arguments):
    start = [sys.executable, "-m", "melbeam.pipelines.ingest", f"--input={corpus[0]}/corpus.jsonl"]
    return [*start, f"--output={output}", "--max_reject_fraction=1", "--shard_bytes=400", *BY_SPEAKER, *arguments]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_the_bytes_are_the_same_in_every_mode(corpus, tmp_path, mode):
    assert (
        ingested(corpus, tmp_path / "here", *BY_SPEAKER, "--shard_bytes=400", "--max_reject_fraction=1").status
        == 0
    )
    options = [f"--direct_running_mode={mode}", "--direct_num_workers=2"]
    ran = subprocess.run(
        command(corpus, tmp_path / "there", *options), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert tree(tmp_path / "there") == tree(tmp_path / "here")


@pytest.fixture(scope="module")
def undisturbed(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "audio"
    assert ingested(corpus, folder, *BY_SPEAKER, "--shard_bytes=400", "--max_reject_fraction=1").status == 0
    return tree(folder)


@pytest.mark.slow
class TestInterrupted:
    def test_it_may_be_cut_off_before_every_step(self, corpus, undisturbed, tmp_path, monkeypatch):
        """Each start writes some small files more than the one before it could, until it is through."""
        written = 0
        write_bytes = files.write_bytes

        def cut_off(path, data, **how):
            nonlocal written
            if "lock" not in path:
                written += 1
                if written > 5 * starts:
                    raise RuntimeError("cut off here")
            return write_bytes(path, data, **how)

        folder = tmp_path / "audio"
        starts = 0
        while True:
            written, starts = 0, starts + 1
            with monkeypatch.context() as patched:
                patched.setattr(files, "write_bytes", cut_off)
                ended = ingested(corpus, folder, *BY_SPEAKER, "--shard_bytes=400", "--max_reject_fraction=1")
            if ended.status == 0:
                break
            assert "cut off here" in ended.text
            assert starts < 40
        assert starts > 5
        assert tree(folder) == undisturbed

    @pytest.mark.parametrize("mode", MODES)
    def test_killed_and_started_again_it_gives_the_same_bytes(self, corpus, undisturbed, tmp_path, mode):
        folder, rng = tmp_path / "audio", random.Random(mode)
        options = [f"--direct_running_mode={mode}", "--direct_num_workers=2"]
        for _ in range(4):
            job = subprocess.Popen(
                command(corpus, folder, *options),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            # From the job's first file on, what is left to do takes some seconds.
            while not list(folder.glob("_melbeam/train/job.json")) and job.poll() is None:
                time.sleep(0.05)
            time.sleep(rng.uniform(0, 5))
            os.killpg(job.pid, signal.SIGKILL)
            job.wait()
        ran = subprocess.run(command(corpus, folder, *options), capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        assert tree(folder) == undisturbed


@pytest.mark.parametrize("split", ["train=0.9,dev=0.1", "train", "validation"])
def test_no_split_of_a_division_is_left_behind_by_another(divided, corpus, tmp_path, split):
    """Its clips would be in two splits, and what is tested on might be trained on."""
    folder = tmp_path / "audio"
    shutil.copytree(divided[1], folder)
    before = tree(folder)
    status, said = ingested(corpus, folder, f"--split={split}", "--overwrite")
    assert (status, f"--overwrite would leave split 'test' of {folder}, which was made together with" in said) == (
        2,
        True,
    )
    assert tree(folder) == before
    # All of its names, or a name that is none of them, may come.
    assert ingested(corpus, folder, SPLITS, "--overwrite").status == 0
    assert ingested(corpus, folder, "--split=more", "--overwrite").status == 0
