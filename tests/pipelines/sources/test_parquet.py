"""Parquet of every shape in which hubs store audio, and row groups that cannot be read."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from helpers import encode, write
from melbeam.pipelines.sources.planning import read_unit
from melbeam.pipelines.sources.units import AudioRecord
from melbeam.transforms.records.examples import to_reject
from melbeam.transforms.records.tf_example import to_example

STRUCT = pa.struct([("bytes", pa.large_binary()), ("path", pa.large_string())])
NOISE = np.random.default_rng(0).integers(-9000, 9000, (4, 4000), "int16")
WAVS = [encode(noise) for noise in NOISE]
TEXTS = ["one", "two", "three", "four"]


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Writes columns as a Parquet file of row groups of two."""
    monkeypatch.chdir(tmp_path)

    def write_table(columns, name="t.parquet"):
        pq.write_table(pa.table(columns), name, row_group_size=2)
        return name

    return write_table


def as_samples(clip):
    if isinstance(clip.audio, bytes):
        return soundfile.read(io.BytesIO(clip.audio), dtype="int16")[0]
    audio = np.asarray(clip.audio)
    return audio if audio.dtype == np.int64 else np.round(audio * 2**15).astype(int)


FLOATS = [noise / 2**15 for noise in NOISE]
RATE = pa.array([16000] * 4, pa.int32())
SHAPES = {
    "struct of bytes and path": {"audio": pa.array([{"bytes": wav, "path": None} for wav in WAVS], STRUCT)},
    "struct, another name": {"speech": pa.array([{"bytes": wav, "path": "x.wav"} for wav in WAVS])},
    "bytes": {"audio": pa.array(WAVS)},
    "large bytes": {"audio": pa.array(WAVS, pa.large_binary())},
    "bytes in a dictionary": {"audio": pa.array(WAVS).dictionary_encode()},
    "bytes, another name": {"speech": pa.array(WAVS, pa.large_binary())},
    "floats and a rate": {"audio": pa.array(FLOATS, pa.list_(pa.float32())), "sampling_rate": RATE},
    "doubles and a rate": {"audio": pa.array(FLOATS, pa.large_list(pa.float64())), "sampling_rate": RATE},
    "floats of one length": {"audio": pa.array(FLOATS, pa.list_(pa.float32(), 4000)), "sampling_rate": RATE},
    "integers and a rate": {"audio": pa.array(list(NOISE), pa.list_(pa.int16())), "sampling_rate": RATE},
    "struct of array and rate": {
        "audio": pa.array([{"array": floats, "sampling_rate": 16000, "path": "x"} for floats in FLOATS])
    },
}
BYTES = {  # the kind of a list, and what -1, 0 and 0.5 are in it
    "int8": [-128, 0, 64],
    "uint8": [0, 128, 192],
    "uint16": [0, 32768, 49152],
}
PATHS = [f"{text}.wav" for text in TEXTS]
PATH_SHAPES = {
    "paths": pa.array(PATHS),
    "large paths": pa.array(PATHS, pa.large_string()),
    "paths in a dictionary": pa.array(PATHS).dictionary_encode(),
    "struct of a path alone": pa.array([{"bytes": None, "path": path} for path in PATHS], STRUCT),
}


@pytest.mark.parametrize("texts", [TEXTS, pa.array(TEXTS, pa.large_string()), pa.array(TEXTS).dictionary_encode()])
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_that_hold_their_audio(table, read, shape, texts):
    found = read(table({**SHAPES[shape], "text": texts}))
    assert found.damages == []
    assert [clip.fields["text"].decode() for clip in found.clips] == TEXTS
    for clip, noise in zip(found.clips, NOISE, strict=True):
        np.testing.assert_array_equal(as_samples(clip), noise)
        assert set(clip.fields) - {"text"} <= {"sampling_rate"}


@pytest.mark.parametrize("kind", BYTES)
def test_the_full_scale_of_samples_is_that_of_their_type(table, read, kind):
    audio = pa.array([BYTES[kind]] * 4, pa.list_(getattr(pa, kind)()))
    for clip in read(table({"audio": audio, "sampling_rate": RATE})).clips:
        np.testing.assert_array_equal(clip.audio, [-1, 0, 0.5])


def test_a_list_of_a_files_bytes_is_that_file(table, read):
    audio = pa.array([list(wav) for wav in WAVS], pa.list_(pa.uint8()))
    assert [clip.audio for clip in read(table({"audio": audio, "sampling_rate": RATE})).clips] == WAVS


@pytest.mark.parametrize("shape", PATH_SHAPES)
def test_shapes_that_name_their_audio(table, read, shape):
    table({"audio": PATH_SHAPES[shape], "text": TEXTS})
    for path, wav in zip(PATHS[1:], WAVS[1:], strict=True):
        Path(path).write_bytes(wav)
    found = read("t.parquet")
    assert [(clip.id, clip.audio, clip.place) for clip in found.clips] == [
        (path, wav, f"t.parquet#{number}")
        for number, (path, wav) in enumerate(zip(PATHS, WAVS, strict=True))
        if number
    ]
    assert [damage.reject.reason for damage in found.damages] == ["not_found"]


def test_segments_of_paths_in_a_dictionary(table, read):
    Path("long.wav").write_bytes(WAVS[0])
    paths = pa.array(["long.wav", "long.wav"]).dictionary_encode()
    found = read(table({"audio": paths, "offset": [0.0, 0.125], "duration": [0.125, 0.0625]}))
    assert [clip.id for clip in found.clips] == ["long.wav@0-0.125", "long.wav@0.125-0.1875"]
    np.testing.assert_array_equal(as_samples(found.clips[1]), NOISE[0][2000:3000])


def test_nested_columns_and_odd_types_pass_through(table, read):
    columns = {
        "audio": pa.array(WAVS[:1]),
        "speaker": pa.array(
            [{"id": 7, "names": ["é"], "key": b"k", "raw": b"\xff"}],
            # Older pyarrows would sort the names.
            pa.struct({"id": pa.int64(), "names": pa.list_(pa.string()), "key": pa.binary(), "raw": pa.binary()}),
        ),
        "tags": [["a", "b"]],
        "scores": [[0.5, 1.5]],
        "pairs": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        "half": np.array([1.5], np.float16),
        "nothing": pa.nulls(1),
    }
    (clip,) = read(table(columns)).clips
    assert clip.fields == {
        "speaker": '{"id": 7, "names": ["é"], "key": "k", "raw": "/w=="}'.encode(),
        "tags": [b"a", b"b"],
        "scores": [0.5, 1.5],
        "pairs": b'[["a", 1]]',
        "half": 1.5,
    }


def test_rows_without_audio_or_text_that_is_none(table, read):
    good, bad = pa.array([b"ok", b"ok"]), pa.array([b"ok", b"\xff\xfe"])
    texts = [pa.Array.from_buffers(pa.string(), 2, one.buffers()) for one in (good, bad)]
    audio = pa.array([WAVS[0], None, WAVS[2], WAVS[3]])
    found = read(table({"audio": audio, "text": pa.chunked_array(texts), "id": [1, 2, 3, 4]}))
    assert [clip.id for clip in found.clips] == ["1", "3"]
    assert [(damage.reject.reason, damage.reject.record_id) for damage in found.damages] == [
        ("no_audio", "2"),
        ("bad_row", "4"),
    ]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"text": TEXTS}, "has no column that names audio; it has text"),
        ({"one": pa.array(WAVS), "two": pa.array(WAVS)}, "it has one, two: name it with --columns=audio=COLUMN"),
        ({"audio": pa.array(WAVS), "source": TEXTS}, "rename it with --columns=my_source=source"),
    ],
)
def test_what_makes_every_row_a_reject_is_refused(table, read, columns, told):
    with pytest.raises(ValueError, match=told):
        read(table(columns))


def damage_group(group):
    """Flips bytes in the middle of a row group's first column."""
    column = pq.ParquetFile("t.parquet").metadata.row_group(group).column(0)
    data = bytearray(Path("t.parquet").read_bytes())
    middle = column.data_page_offset + 40
    data[middle : middle + 64] = b"\xff" * 64
    Path("t.parquet").write_bytes(data)


def test_a_row_group_that_cannot_be_read_is_read_again_once_the_file_is_whole(tmp_path, monkeypatch, read):
    monkeypatch.chdir(tmp_path)
    columns = pa.table({"audio": pa.array(WAVS), "text": TEXTS})
    pq.write_table(columns, "t.parquet", row_group_size=2, write_page_checksum=True)
    whole = Path("t.parquet").read_bytes()
    complete = read("t.parquet").clips
    damage_group(0)
    broken = read("t.parquet")
    assert [clip.fields["text"] for clip in broken.clips] == [b"three", b"four"]
    (damage,) = broken.damages
    assert damage.reject.reason == "bad_row"
    assert "2 of the 2 rows of row group 0 cannot be read" in damage.reject.detail
    another = to_example({"audio": WAVS[3], "id": "another"})
    write("r.tfrecord", [to_reject(damage.data, damage.reject, damage.place), another])
    before = read("r.tfrecord")
    assert [one.reject.reason for one in before.damages] == ["bad_row"]
    assert before.damages[0].data == damage.data  # and can be tried again
    Path("t.parquet").write_bytes(whole)
    after = read("r.tfrecord")
    assert [clip._replace(place="") for clip in after.clips[:2]] == [
        clip._replace(place="") for clip in complete[:2]
    ]
    assert [clip.place for clip in after.clips] == ["r.tfrecord#0", "r.tfrecord#1", "r.tfrecord#2"]
    Path("t.parquet").unlink()
    (gone,) = read("r.tfrecord").damages
    assert "copy t.parquet again from its source" in gone.reject.detail


def test_a_row_that_makes_a_reject_is_read_again(tmp_path, monkeypatch, read):
    """Its reject does not hold its audio, so that whoever raises the limit, or mends the times, needs its file."""
    monkeypatch.chdir(tmp_path)
    columns = {"audio": pa.array(WAVS), "id": TEXTS, "end": [99.0, 0.01, 0.01, 0.01], "start": [0.0] * 4}
    pq.write_table(pa.table(columns), "t.parquet", row_group_size=3)
    times = {"start": "start", "end": "end"}
    first = read("t.parquet", columns=times, max_record_bytes=100)
    assert [damage.reject.reason for damage in first.damages] == [
        "bad_row",
        "over_limit",
        "over_limit",
        "over_limit",
    ]
    write("r.tfrecord", [to_reject(one.data, one.reject, one.place) for one in first.damages])
    again = read("r.tfrecord")
    assert [clip.id for clip in again.clips] == TEXTS[1:]
    assert again.clips == [
        clip._replace(place=f"r.tfrecord#{number}")
        for number, clip in enumerate(read("t.parquet", columns=times).clips, 1)
    ]
    (damage,) = again.damages
    assert (damage.reject.reason, damage.reject.record_id) == ("bad_row", TEXTS[0])
    pq.write_table(pa.table({**columns, "end": [0.01] * 4}), "t.parquet", row_group_size=3)
    assert [clip.id for clip in read("r.tfrecord").clips] == TEXTS


def test_a_row_that_names_its_audio_is_read_again_once_its_times_are_right(tmp_path, monkeypatch, read):
    monkeypatch.chdir(tmp_path)
    Path("a.wav").write_bytes(WAVS[0])
    columns = {"path": ["a.wav"] * 2, "id": TEXTS[:2], "start": [0.0, 0.2], "end": [0.1, 0.1]}
    pq.write_table(pa.table(columns), "t.parquet")
    (damage,) = read("t.parquet").damages
    write("r.tfrecord", [to_reject(damage.data, damage.reject, damage.place)])
    (again,) = read("r.tfrecord").damages
    assert (str(again.reject), again.reject.record_id) == (str(damage.reject), TEXTS[1])
    assert again.data == damage.data
    pq.write_table(pa.table({**columns, "end": [0.1, 0.22]}), "t.parquet")
    assert [clip.id for clip in read("r.tfrecord").clips] == [TEXTS[1]]


def nested(**inside):
    """The columns of a table whose clips, and what is said in them, lie in structs."""
    samples = [
        {"audio": {"bytes": wav, "path": f"{text}.wav"}, "info": {"text": text, "by": {"age": k}}, **inside}
        for k, (wav, text) in enumerate(zip(WAVS, TEXTS, strict=True))
    ]
    return {"sample": pa.array(samples), "key": TEXTS}


def test_columns_inside_of_others_have_dotted_names(table, read):
    columns = {
        "audio": "sample.audio",
        "text": "sample.info.text",
        "age": "sample.info.by.age",
        "id": "sample.audio.path",
    }
    clips = read(table(nested()), columns=columns, shard_bytes=1).clips
    assert [clip.id for clip in clips] == [f"{text}.wav" for text in TEXTS]
    assert [clip.audio for clip in clips] == WAVS
    # What was taken out is not passed through once more, and nothing is left of the structs.
    assert [clip.fields for clip in clips] == [
        {"text": text.encode(), "age": k, "key": text.encode()} for k, text in enumerate(TEXTS)
    ]
    assert [clip.audio for clip in read(table(nested())).clips] == WAVS  # the one struct that is audio


def test_what_is_left_of_a_column_is_passed_through_as_json(table, read):
    clips = read(table(nested(other=[0.5, 1.5])), columns={"text": "sample.info.text"}).clips
    assert clips[1].fields["sample"] == b'{"info": {"by": {"age": 1}}, "other": [0.5, 1.5]}'


def test_samples_inside_of_a_struct(table, read):
    rows = [{"wave": floats, "hz": 16000} for floats in FLOATS]
    found = read(table({"a": pa.array(rows)}), columns={"audio": "a.wave", "sampling_rate": "a.hz"})
    for clip, noise in zip(found.clips, NOISE, strict=True):
        assert (as_samples(clip) == noise).all()
        assert clip.fields == {"sampling_rate": 16000}


def test_a_name_with_dots_of_its_own_comes_first(table, read):
    columns = {"a.b": WAVS, "a": [{"b": text} for text in TEXTS]}
    clips = read(table(columns), columns={"audio": "a.b"}).clips
    assert [clip.audio for clip in clips] == WAVS
    assert clips[0].fields == {"a": b'{"b": "one"}'}


def test_names_that_are_nowhere_are_refused_with_those_that_are(table, read):
    with pytest.raises(ValueError, match=r"no column 'sample\.text'.*sample\.info\.text"):
        read(table(nested()), columns={"text": "sample.text"})


def test_an_empty_struct_is_a_clip_without_audio(table, read):
    columns = nested()
    columns["sample"] = pa.array([*columns["sample"].to_pylist()[:3], None], columns["sample"].type)
    found = read(table(columns), columns={"audio": "sample.audio", "text": "sample.info.text", "id": "key"})
    assert ([clip.id for clip in found.clips], len(found.damages)) == (TEXTS[:3], 1)
    assert (found.damages[0].reject.reason, found.damages[0].reject.record_id) == ("no_audio", "four")


def test_what_lies_beside_the_audio_in_its_struct_is_told_and_can_be_taken(table, read):
    rows = [{"bytes": wav, "path": None, "said": text} for wav, text in zip(WAVS, TEXTS, strict=True)]
    name = table({"audio": pa.array(rows)})
    assert [line for line in read(name).told if "--columns=said=audio.said takes it" in line]
    taken = read(name, columns={"text": "audio.said"})
    assert [clip.fields for clip in taken.clips] == [{"text": text.encode()} for text in TEXTS]
    assert ([clip.audio for clip in taken.clips], taken.told) == (WAVS, [])


def test_files_whose_columns_have_other_types_get_one(table, read):
    table({"audio": WAVS[:1], "n": [1], "k": [1], "l": [[1, 2]]}, "m-0.parquet")
    table({"audio": WAVS[1:2], "n": [0.5], "k": ["x"], "l": [[0.5]]}, "m-1.parquet")
    found = read("m-*.parquet")
    assert [clip.fields for clip in found.clips] == [
        {"n": 1.0, "k": b"1", "l": [1.0, 2.0]},
        {"n": 0.5, "k": b"x", "l": 0.5},
    ]
    assert [line for line in found.told if "column 'k' holds integers and text" in line]


@pytest.mark.parametrize(
    "audio",
    [pa.array(FLOATS), pa.array([{"array": floats, "path": "x"} for floats in FLOATS])],
    ids=["list", "struct"],
)
def test_samples_whose_rate_nothing_says_are_refused(table, read, audio):
    with pytest.raises(ValueError, match=r"no column says their rate in Hz.*--columns=sampling_rate=COLUMN"):
        read(table({"audio": audio, "hz": RATE}))
    clips = read(table({"audio": audio, "hz": RATE}), columns={"sampling_rate": "hz"}).clips
    assert [clip.fields for clip in clips] == [{"sampling_rate": 16000}] * 4


def test_another_column_of_files_is_told(table, read):
    rows = pa.array([{"bytes": wav, "path": None} for wav in WAVS], STRUCT)
    name = table({"audio": rows, "noisy": rows, "said": TEXTS})
    assert read(name).told == [
        f"{name}: noisy holds files too, and each is passed through whole, its bytes as base64: leave the column "
        "out of the Parquet file, or take it as the audio (--columns=audio=noisy)"
    ]
    found = read(name, columns={"audio": "noisy", "id": "said", "text": "said"})
    assert [(clip.id, clip.fields["text"].decode()) for clip in found.clips] == [(text, text) for text in TEXTS]


def test_times_beside_audio_that_is_whole_are_columns_like_any_other(table, read):
    rows = pa.array([{"bytes": wav, "path": None} for wav in WAVS], STRUCT)
    found = read(table({"audio": rows, "onset_in_talk": [1.0, 2.0, 3.0, 4.0], "end_time": [1.5, 2.5, 3.5, 4.5]}))
    assert [clip.fields for clip in found.clips] == [
        {"onset_in_talk": float(second), "end_time": second + 0.5} for second in (1, 2, 3, 4)
    ]
    assert np.array_equal([as_samples(clip) for clip in found.clips], NOISE)


@pytest.mark.parametrize("turned", [False, True])
def test_a_column_gives_way_to_the_one_that_gets_its_name(table, read, turned):
    columns = {
        "text": [1, 2, 3, 4],
        "said": TEXTS,
        "audio": ["not this"] * 4,
        "speech": WAVS,
        "id": [9] * 4,
        "key": ["a", "b", "c", None],
    }
    name = table(dict(reversed(columns.items())) if turned else columns)
    found = read(name, columns={"text": "said", "audio": "speech", "id": "key"})
    assert [clip.fields for clip in found.clips] == [{"text": text.encode()} for text in TEXTS]
    assert [clip.id for clip in found.clips] == ["a", "b", "c", None]
    assert [clip.audio for clip in found.clips] == WAVS
    assert found.told == []


def test_ids_in_bytes_are_the_text_that_they_hold(table, read):
    ids = pa.array([b"a", b"", None, b"d"])
    assert [clip.id for clip in read(table({"audio": pa.array(WAVS), "id": ids})).clips] == ["a", None, None, "d"]
    for name, data in zip(PATHS, WAVS, strict=True):
        Path(name).write_bytes(data)
    found = read(table({"audio": PATHS, "id": ids})).clips
    assert [clip.id for clip in found] == ["a", "two.wav", "three.wav", "d"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([1, 10**18], pa.timestamp("ns")), ["1970-01-01 00:00:00.000000001", "2001-09-09 01:46:40"]),
        (
            pa.array([86_400_000, 10**15], pa.timestamp("ms", "UTC")),
            ["1970-01-02 00:00:00+00:00", f"{10**15} as timestamp[ms, tz=UTC]"],
        ),
        (pa.array([1, 10**9], pa.time64("ns")), ["00:00:00.000000001", "00:00:01"]),
        (pa.array([1, 10**9], pa.duration("ns")), ["1 as duration[ns]", "0:00:01"]),
        (pa.array([1, 10**7], pa.date32()), ["1970-01-02", f"{10**7} as date32[day]"]),
    ],
)
def test_times_that_python_has_no_room_for_are_text(table, read, values, expected):
    found = read(table({"audio": pa.array(WAVS[:2]), "when": values}))
    assert found.damages == []
    for clip, text in zip(found.clips, expected, strict=True):
        assert clip.fields["when"].decode() == text


def test_a_value_that_python_has_no_type_for_is_its_rows_reject(table, read):
    inside = pa.array([{"at": 10**9}, {"at": 1}], pa.struct([("at", pa.timestamp("ns"))]))
    found = read(table({"audio": pa.array(WAVS[:2]), "id": ["a", "b"], "of": inside}))
    assert [clip.fields["of"] for clip in found.clips] == [b'{"at": "1970-01-01 00:00:01"}']
    (damage,) = found.damages
    assert (damage.reject.reason, damage.reject.record_id) == ("bad_row", "b")
    assert "column 'of' holds a value that Python has no type for" in damage.reject.detail


def test_a_list_with_a_null_among_files_of_integers_and_of_floats(table, read):
    audio = pa.array(WAVS[:2])
    table({"audio": audio, "k": [[1, None], [2]]}, "a.parquet")
    table({"audio": audio, "k": [[0.5], [3.0]]}, "b.parquet")
    assert [clip.fields["k"] for clip in read("*.parquet").clips] == [b"[1, null]", 2.0, 0.5, 3.0]


def test_a_rate_beside_samples_is_never_rounded(table, read):
    rates = [16000.0, 8000.5, float("nan"), None]
    audio = [{"array": floats, "sampling_rate": rate} for floats, rate in zip(FLOATS, rates, strict=True)]
    found = [clip.fields.get("sampling_rate") for clip in read(table({"audio": pa.array(audio)})).clips]
    assert (found[:2], np.isnan(found[2]), found[3]) == ([16000, 8000.5], True, None)  # extract turns the two away


@pytest.mark.parametrize(
    "audio",
    [
        pa.array([{"bytes": wav, "path": None} for wav in WAVS], STRUCT),
        pa.array([{"array": floats, "sampling_rate": 16000} for floats in FLOATS]),
    ],
    ids=["files", "samples"],
)
def test_times_that_are_asked_for_cut_the_audio_beside_them(table, read, audio):
    columns = {"audio": audio, "id": TEXTS, "from": [0.05, None, 0.1, 0.2], "to": [0.1, None, None, 9.0]}
    found = read(table(columns), columns={"start": "from", "end": "to"})
    expected = {"one": NOISE[0][800:1600], "two": NOISE[1], "three": NOISE[2][1600:]}
    assert [clip.id for clip in found.clips] == list(expected)
    for clip in found.clips:
        np.testing.assert_array_equal(as_samples(clip), expected[clip.id])
    (damage,) = found.damages
    assert (damage.reject.reason, damage.reject.record_id) == ("bad_row", "four")
    assert "from 0.2 s to 9 s does not lie in the row's audio, which lasts 0.250 s" in damage.reject.detail
    (unit,) = read("t.parquet", columns={"start": "from", "end": "to", "text": "id"}).units
    said = [item.segments for item in read_unit(unit) if isinstance(item, AudioRecord)]
    assert said == ['[[0.0, null, "one"]]', "", '[[0.0, null, "three"]]']


@pytest.mark.parametrize("inside", [False, True])
def test_two_columns_of_one_name_are_refused(tmp_path, monkeypatch, read, inside):
    monkeypatch.chdir(tmp_path)
    texts = [pa.array(TEXTS), pa.array(TEXTS[::-1])]
    if inside:
        both = pa.table({"audio": WAVS, "of": pa.StructArray.from_arrays(texts, names=["text", "text"])})
    else:
        both = pa.Table.from_arrays([pa.array(WAVS), *texts], names=["audio", "text", "text"])
    pq.write_table(both, "twice.parquet")
    with pytest.raises(ValueError, match="has two columns 'text': rename one of them"):
        read("twice.parquet")


def test_audiofolders_metadata_may_be_parquet(tmp_path, monkeypatch, read):
    monkeypatch.chdir(tmp_path)
    for split, wav in zip(("test", "train"), WAVS, strict=False):
        Path(f"set/{split}").mkdir(parents=True)
        Path(f"set/{split}/clip.wav").write_bytes(wav)
        rows = pa.table({"file_name": ["clip.wav"], "text": [f"of {split}"]})
        pq.write_table(rows, f"set/{split}/metadata.parquet")
    found = read("set")
    assert [(clip.id, clip.audio, clip.fields) for clip in found.clips] == [
        ("test/clip.wav", WAVS[0], {"text": b"of test"}),
        ("train/clip.wav", WAVS[1], {"text": b"of train"}),
    ]
    assert [told for told in found.told if "left out" in told] == []
    of_one = read("set/train")
    assert ([clip.id for clip in of_one.clips], of_one.told) == (["clip.wav"], [])


def test_the_columns_of_a_table_that_is_divided_by_folders(tmp_path, monkeypatch, read):
    """As Spark and `pyarrow.parquet.write_to_dataset` divide one, with what they write beside it."""
    monkeypatch.chdir(tmp_path)
    languages = ["de", "en", "a/b", None]
    rows = {"audio": WAVS, "id": list("abcd"), "lang": languages, "text": TEXTS}
    pq.write_to_dataset(pa.table(rows), "set", partition_cols=["lang"])
    pq.write_metadata(pa.schema([("audio", pa.binary())]), "set/_common_metadata")
    Path("set/_SUCCESS").touch()
    found = read("set", columns={"said": "text"})
    assert {clip.id: clip.fields.get("lang") for clip in found.clips} == {
        name: language and language.encode() for name, language in zip("abcd", languages, strict=True)
    }
    assert {clip.id: clip.audio for clip in found.clips} == dict(zip("abcd", WAVS, strict=True))
    assert [clip.fields for clip in read("set/lang=en", columns={"said": "text"}).clips] == [{"said": b"two"}]
    assert read("set", columns={"speaker": "lang"}).clips[-1].fields.keys() == {"speaker", "text"}
    pq.write_to_dataset(pa.table({**rows, "source": ["x"] * 4}), "other", partition_cols=["source"])
    with pytest.raises(ValueError, match="rename it with --columns=my_source=source"):
        read("other")
