"""`melbeam extract` on every kind of source: one command each, the counts, and a text beside its features."""

import io
import json
import re
import shutil
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from helpers import run, write
from melbeam.pipelines import extract, ingest, retry_rejects, verify
from melbeam.transforms import read_features
from melbeam.transforms.records.tf_example import to_example

FIXTURES = Path(__file__).parents[1] / "data/sources"
TEXTS = {"morning": b"good morning", "river": b"the river", "weather": b"the weather"}
OPTIONS = ["--runner=FnApiRunner"]  # in this process, one shard at a time: nothing here is about speed


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """The fixtures, with the clips as a manifest, Kaldi's folder and LibriSpeech's too, in the working folder."""
    shutil.copytree(FIXTURES, tmp_path / "corpus")
    monkeypatch.chdir(tmp_path / "corpus")
    paths = {name: next(Path("clips").glob(f"{name}.*")) for name in TEXTS}
    rows = [{"audio": str(path), "text": TEXTS[name].decode()} for name, path in paths.items()]
    Path("manifest.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    Path("kaldi").mkdir()
    Path("kaldi/wav.scp").write_text("".join(f"{name} {path}\n" for name, path in paths.items()))
    Path("kaldi/text").write_text("".join(f"{name} {text.decode()}\n" for name, text in TEXTS.items()))
    Path("libri").mkdir()
    for path in paths.values():
        shutil.copy(path, "libri")
    Path("libri/1-2.trans.txt").write_text(Path("kaldi/text").read_text())
    write_tables(paths)
    write_records(paths)
    return tmp_path


def write_tables(paths):
    """The clips as CSV with a byte order mark and CRLF, as Common Voice, and in LJSpeech's layout."""
    rows = "".join(f'{path},"{TEXTS[name].decode()}"\r\n' for name, path in paths.items())
    Path("table.csv").write_text(f"\ufefffile_name,transcription\r\n{rows}", newline="")
    rows = "".join(f"speaker\t{path.name}\t{TEXTS[name].decode()}\n" for name, path in paths.items())
    Path("cv.tsv").write_text(f"client_id\tpath\tsentence\n{rows}")
    Path("lj/wavs").mkdir(parents=True)
    for path in paths.values():
        shutil.copy(path, "lj/wavs")
    rows = "".join(f"{name}|as read|{text.decode()}\n" for name, text in TEXTS.items())
    Path("lj/metadata.csv").write_text(rows)


def write_records(paths):
    """The clips as TFRecords of other names, and as LibriTTS might be kept by TFDS: samples that zlib packs."""
    records = {name: {"data/speech": path.read_bytes(), "data/text": TEXTS[name]} for name, path in paths.items()}
    write("tf/train-00000", [to_example({**record, "key": name}) for name, record in records.items()])
    samples, rate = soundfile.read(paths["morning"], dtype="int16")
    audio = {"dtype": "int16", "encoding": "ZLIB", "sampleRate": str(rate), "shape": {"dimensions": ["-1"]}}
    features = {
        "audio": {"audio": audio, "pythonClassName": "tensorflow_datasets.core.features.audio_feature.Audio"},
        "text": {"text": {}, "pythonClassName": "tensorflow_datasets.core.features.text_feature.Text"},
    }
    Path("zlib").mkdir()
    Path("zlib/features.json").write_text(json.dumps({"featuresDict": {"features": features}}))
    record = {"audio": zlib.compress(samples.astype("<i2").tobytes()), "text": TEXTS["morning"]}
    write("zlib/x-train.tfrecord-00000-of-00001", [to_example(record)])


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The features of the three clips, by text, as they come of the files themselves."""
    folder = tmp_path_factory.mktemp("expected")
    clips = [f"--input={path}" for name in TEXTS for path in (FIXTURES / "clips").glob(f"{name}.*")]
    assert run(extract, *clips, f"--output={folder}", *OPTIONS)[0] == 0
    found = {clip["id"].numpy().decode(): clip["input_features"].numpy() for clip in read_features(folder)}
    return {TEXTS[Path(name).stem]: features for name, features in found.items()}


@pytest.mark.parametrize(
    ("source", "options", "ids"),
    [
        ("manifest.jsonl", [], ["clips/morning.wav", "clips/river.flac", "clips/weather.mp3"]),
        ("kaldi/", [], ["morning", "river", "weather"]),
        ("libri/**", [], ["morning", "river", "weather"]),
        ("webdataset-{0000..0001}.tar", ["--columns=text=txt"], ["said/morning", "said/river", "said/weather"]),
        ("datasets.parquet", ["--shard_bytes=9000"], 3),
        ("nemo", [], ["morning", "river"]),
        ("table.csv", [], ["clips/morning.wav", "clips/river.flac", "clips/weather.mp3"]),
        ("cv.tsv", ["--root=clips"], ["morning.wav", "river.flac", "weather.mp3"]),
        ("lj", ["--columns=text=normalized_text"], ["morning", "river", "weather"]),
        ("tf/train-*", ["--columns=audio=data/speech,text=data/text,id=key"], ["morning", "river", "weather"]),
        ("zlib/", [], 1),
        ("zlib/*.tfrecord*", [], 1),
    ],
)
def test_every_source_gives_the_same_features(corpus, expected, source, options, ids):
    status, said = run(extract, f"--input={source}", "--output=out", *options, *OPTIONS)
    assert status == 0, said
    clips = list(read_features("out"))
    count = ids if isinstance(ids, int) else len(ids)
    assert f"{count} record{'s' * (count > 1)} read = {count} converted + 0 rejected" in said
    for clip in clips:
        np.testing.assert_array_equal(clip["input_features"], expected[clip["text"].numpy()])
    assert isinstance(ids, int) or [clip["id"].numpy().decode() for clip in clips] == ids
    assert run(verify, "out")[0] == 0


def test_lhotses_cuts_and_their_segments(corpus, expected):
    status, said = run(extract, "--input=cuts.jsonl.gz", "--output=out", *OPTIONS)
    assert (status, "7 records read = 7 converted + 0 rejected" in said) == (0, True), said
    clips = {clip["id"].numpy().decode(): clip for clip in read_features("out")}
    for name, text in TEXTS.items():
        assert clips[name]["text"].numpy() == clips[f"{name}-part"]["text"].numpy() == text
        np.testing.assert_array_equal(clips[name]["input_features"], expected[text])


def test_through_ingest_they_are_the_same(corpus, expected):
    for split, source in (("one", "manifest.jsonl"), ("two", "cuts.jsonl.gz"), ("three", "tfds")):
        status, said = run(ingest, f"--input={source}", "--output=audio", f"--split={split}", *OPTIONS)
        assert status == 0, said
    status, said = run(extract, "--input=audio/one-*", "--output=out", *OPTIONS)
    assert status == 0, said
    for clip in read_features("out"):
        np.testing.assert_array_equal(clip["input_features"], expected[clip["text"].numpy()])
    # A folder is all its shards, and nothing of what ingest itself keeps there.
    status, said = run(extract, "--input=audio", "--output=all", *OPTIONS)
    assert (status, "11 records read = 11 converted + 0 rejected" in said) == (0, True), said


def test_rows_that_were_not_there_are_read_by_retry_rejects(corpus, expected):
    shutil.move("clips/river.flac", "elsewhere.flac")
    options = ["--max_reject_fraction=0.5", *OPTIONS]
    status, said = run(extract, "--input=manifest.jsonl", "--output=out", *options)
    assert (status, "rejected: 1 not_found: clips/river.flac" in said) == (0, True), said
    assert run(verify, "out")[0] == 0
    shutil.move("elsewhere.flac", "clips/river.flac")
    status, said = run(retry_rejects, "out", *OPTIONS)
    assert (status, "1 record read = 1 converted + 0 rejected" in said) == (0, True), said
    (clip,) = read_features("out", split="train_retried")
    assert (clip["id"], clip["text"]) == (b"clips/river.flac", b"the river")
    np.testing.assert_array_equal(clip["input_features"], expected[b"the river"])


def damage_a_row_group():
    table = pq.read_table("datasets.parquet")
    pq.write_table(table, "datasets.parquet", row_group_size=2, write_page_checksum=True)
    whole = Path("datasets.parquet").read_bytes()
    page = pq.ParquetFile("datasets.parquet").metadata.row_group(0).column(0).data_page_offset
    Path("datasets.parquet").write_bytes(whole[: page + 60] + bytes(64) + whole[page + 124 :])
    return whole


def cut_a_member():
    whole = Path("webdataset-0000.tar").read_bytes()
    Path("webdataset-0000.tar").write_bytes(whole[:8000])
    return whole


@pytest.mark.parametrize(
    ("source", "spoil", "texts"),
    [
        ("datasets.parquet", damage_a_row_group, [b"good morning", b"the river"]),
        ("webdataset-0000.tar", cut_a_member, [b"good morning", b"the river"]),
    ],
)
def test_what_lay_in_a_damaged_part_is_read_by_retry_rejects(corpus, expected, source, spoil, texts):
    whole = spoil()
    options = ["--max_reject_fraction=1", *OPTIONS]
    columns = ["--columns=text=txt"] if source.endswith(".tar") else []
    status, said = run(extract, f"--input={source}", "--output=out", *columns, *options)
    assert (status, "1 rejected" in said, "rejected: 1 bad_row" in said) == (0, True, True), said
    assert run(verify, "out")[0] == 0
    status, said = run(retry_rejects, "out", *options)
    assert (status, "1 record read = 0 converted + 1 rejected" in said) == (0, True), said
    Path(source).write_bytes(whole)
    status, said = run(retry_rejects, "out", "--overwrite", *options)
    assert (status, "2 records read = 2 converted + 0 rejected" in said) == (0, True), said
    clips = list(read_features("out", split="train_retried"))
    assert [clip["text"].numpy() for clip in clips] == texts
    for clip in clips:
        np.testing.assert_array_equal(clip["input_features"], expected[clip["text"].numpy()])
    assert run(verify, "out")[0] == 0


def test_a_duration_that_differs_is_counted(corpus):
    rows = [{"audio_filepath": "clips/morning.wav", "duration": seconds} for seconds in (0.5, 0.45, 0.7)]
    Path("nemo.json").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    status, said = run(extract, "--input=nemo.json", "--output=out", *OPTIONS)
    assert (status, "changed: 1 duration_differs: clips/morning.wav" in said) == (0, True), said


def test_stereo_of_tfds_lasts_as_long_as_it_does(corpus):
    status, said = run(extract, "--input=tfds/*.tfrecord*", "--output=out", *OPTIONS)
    assert (status, "changed: 1 mixed_down" in said) == (0, True), said
    (clip,) = read_features("out")
    assert (int(clip["num_samples"]), clip["text"]) == (4000, b"both")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--input=[dw]*.*"], "choose one with --input_format"),
        (["--input=manifest.jsonl", "--columns=text"], "--columns must be OURS=THEIRS"),
        (["--input=manifest.jsonl", "--columns=text=words"], "has no column 'words'"),
        (["--input=manifest.jsonl", "--input=datasets.parquet"], "several kinds of sources"),
        (["--input=webdataset-{0000..0002}.tar"], "webdataset-0002.tar names no file"),
        (["--input=manifest.jsonl", "--input_format=csv"], "invalid choice"),
        (["--input=nemo/tarred_audio_manifest.json"], "the manifest of tar files that lie beside it"),
        (["--input=tf/train-*", "--columns=audio=data/speech,text=words"], "has 'words', which --columns"),
        (["--input=webdataset-0000.tar", "--columns=text=json.word"], "has 'json.word', which --columns"),
        (["--input=tf/train-*", "--columns=audio=speech"], "has 'speech', which --columns"),
    ],
)
def test_a_wrong_call_is_refused(corpus, arguments, told):
    status, said = run(extract, *arguments, "--output=out", *OPTIONS)
    assert (status, told in said) == (2, True), said
    assert not Path("out").exists()


def test_a_sequence_example_is_refused_by_name(tmp_path):
    import tensorflow as tf

    sequence = tf.train.SequenceExample()
    sequence.feature_lists.feature_list["audio"].feature.add().float_list.value.append(0.5)
    with tf.io.TFRecordWriter(f"{tmp_path}/s.tfrecord") as writer:
        writer.write(sequence.SerializeToString())
    status, said = run(extract, f"--input={tmp_path}/s.tfrecord", f"--output={tmp_path}/out")
    assert (status, "tf.train.SequenceExamples, which melbeam does not read" in said) == (2, True), said


def test_records_without_a_text_and_fields_of_several_types_are_told(corpus):
    clips = sorted(Path("clips").glob("[mrw]*"))
    records = [
        to_example({"audio": path.read_bytes(), "text": "x", "n": n})
        for path, n in zip(clips[:2], (1, 0.5), strict=True)
    ]
    write("mixed/train-00000", [*records, to_example({"audio": clips[2].read_bytes()})])
    status, said = run(extract, "--input=mixed/train-*", "--output=out", *OPTIONS)
    assert status == 0
    assert "  text: 2 of 3 feature records have one; --require=text turns the others away" in said
    assert "warning: field 'n' is not of one type: split train has float in 1 record" in said


def test_records_whose_audio_has_another_name_are_refused_with_their_names(corpus):
    for job in (extract, ingest):
        status, said = run(job, "--input=tf/train-*", "--output=out", *OPTIONS)
        assert (
            status,
            "they have data/speech, data/text, key: name it with --columns=audio=data/speech" in said,
        ) == (
            2,
            True,
        )


def test_samples_whose_rate_nothing_says_are_refused(corpus):
    write("lists/train-00000", [to_example({"audio": [1, 2, 3] * 999, "hz": 16000}) for _ in range(3)])
    status, said = run(extract, "--input=lists/train-*", "--output=out", *OPTIONS)
    told = "the Hz of its samples; they have audio, hz: name it with --columns=sampling_rate=hz"
    assert (status, told in said) == (2, True), said
    columns = "--columns=sampling_rate=hz"
    assert run(extract, "--input=lists/train-*", "--output=out", columns, *OPTIONS).status == 0


def test_a_manifests_columns_of_several_types_can_be_read(corpus):
    clips = sorted(Path("clips").glob("[mrw]*"))
    rows = [{"audio": str(path), "n": n} for path, n in zip(clips, (1, 0.5, 2), strict=True)]
    Path("mixed.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert run(ingest, "--input=mixed.jsonl", "--output=audio", *OPTIONS).status == 0
    for source in ("mixed.jsonl", "audio/train-*"):
        output = f"out-{len(source)}"
        assert run(extract, f"--input={source}", f"--output={output}", *OPTIONS).status == 0
        assert [float(clip["n"]) for clip in read_features(output)] == [1.0, 0.5, 2.0]


def test_a_field_of_webdatasets_json_that_is_of_several_types_is_told_and_can_be_read_without(corpus):
    clips = sorted(Path("clips").glob("[mrw]*"))
    with tarfile.open("mixed.tar", "w") as tar:
        for path, x in zip(clips, (1, "two", 0.5), strict=True):
            for name, data in (
                (path.name, path.read_bytes()),
                (f"{path.stem}.json", json.dumps({"x": x}).encode()),
            ):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    status, said = run(extract, "--input=mixed.tar", "--columns=x=json.x", "--output=out", *OPTIONS)
    assert status == 0
    mixed = "field 'x' is not of one type: split train has bytes in 1 record (id "
    assert f"warning: {mixed}" in said
    assert mixed in run(verify, "out").text
    with pytest.raises(ValueError, match="feature 'x' has not one type in all records: 1 bytes_list") as error:
        read_features("out")
    names = re.search(r"read without it: features=(\[.*\])", str(error.value))[1]
    assert len(list(read_features("out", features=json.loads(names.replace("'", '"'))))) == 3
