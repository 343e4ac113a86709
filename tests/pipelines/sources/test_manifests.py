"""Manifests: their spellings, their rows, and what is wrong with them."""

import gzip
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from melbeam.pipelines.sources import segments
from melbeam.pipelines.sources.planning import read_unit
from melbeam.pipelines.sources.units import Unit
from melbeam.pipelines.tfrecord import TFRecordWriter
from melbeam.transforms.records.decoding import decode_audio
from melbeam.transforms.records.examples import to_reject


@pytest.fixture
def corpus(tmp_path, monkeypatch, tone):
    monkeypatch.chdir(tmp_path)
    return {name: tone(name) for name in ("a.wav", "sub/b.flac", "clips/c.mp3")}


def write(name, text, encoding="utf-8"):
    data = text.encode(encoding)
    Path(name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.jsonl", lines({"audio": "a.wav", "text": "x", "n": 1}, {"audio": "sub/b.flac", "text": "y", "n": 2})),
        ("m.json", lines({"audio_filepath": "a.wav", "text": "x"}, {"audio_filepath": "sub/b.flac", "text": "y"})),
        ("m.csv", "file_name,transcription\na.wav,x\nsub/b.flac,y\n"),
        ("m.csv.gz", "file_name,text\na.wav,x\nsub/b.flac,y\n"),
        ("m.tsv", "path\tsentence\na.wav\tx\nsub/b.flac\ty\n"),
        ("crlf.csv", "\ufeffaudio,text\r\na.wav,x\r\n\r\nsub/b.flac,y\r\n"),
        ("semicolon.csv", "audio;text\na.wav;x\nsub/b.flac;y"),
    ],
)
def test_known_spellings_are_found(corpus, read, name, text):
    write(name, text)
    found = read(name)
    assert [(clip.id, clip.fields["text"]) for clip in found.clips] == [("a.wav", b"x"), ("sub/b.flac", b"y")]
    assert [clip.audio for clip in found.clips] == [Path("a.wav").read_bytes(), Path("sub/b.flac").read_bytes()]
    assert found.damages == []
    assert read(name, shard_bytes=1).clips == found.clips


def test_columns_keep_their_type_and_take_other_names(corpus, read):
    row = {
        "audio": "a.wav",
        "n": 3,
        "x": 0.5,
        "yes": True,
        "tags": ["p", "q"],
        "none": None,
        "more": {"k": [1, "é"]},
    }
    write("m.jsonl", lines({**row, "big": 2**70, "half": "\ud800"}))
    (clip,) = read("m.jsonl", columns={"count": "n"}).clips
    assert clip.fields == {
        "count": 3,
        "x": 0.5,
        "yes": 1,
        "tags": [b"p", b"q"],
        "more": '{"k": [1, "é"]}'.encode(),
        "big": str(2**70).encode(),
        "half": b"?",
    }


def test_common_voice_lies_below_clips_and_its_quotes_are_literal(corpus, read):
    write("train.tsv", 'client_id\tpath\tsentence\nabc\tc.mp3\t"Well\nabd\tc.mp3\tno\n')
    found = read("train.tsv")
    assert [(clip.fields["text"], clip.fields["client_id"]) for clip in found.clips] == [
        (b'"Well', b"abc"),
        (b"no", b"abd"),
    ]
    assert found.clips[0].id == "clips/c.mp3"


@pytest.mark.parametrize(
    ("name", "values", "is_told"),
    [
        ("channel", ("0", "1"), True),
        ("Side", ("A", "B"), True),
        ("channel", ("1", "1"), False),
        ("channel", ("news", "1"), False),
    ],
)
def test_a_column_of_channels_is_told_to_select_none(tmp_path, read, tone, name, values, is_told):
    tone("call.wav", channels=2)
    rows = (f"call.wav,{value},{start},{start + 0.1}\n" for start, value in enumerate(values))
    (tmp_path / "m.csv").write_text(f"audio,{name},start,end\n{''.join(rows)}")
    told = read(tmp_path / "m.csv").told
    assert [f"column {name!r} may say which channel" in line for line in told] == [True] * is_told


@pytest.fixture
def mls(tmp_path, monkeypatch, tone):
    """Multilingual LibriSpeech: two splits, each with its table."""
    monkeypatch.chdir(tmp_path)
    for split, ids in (("train", ("252_1406_000000", "252_1406_000001", "31_9_000000")), ("dev", ("7_1_000000",))):
        for name in ids:
            tone(f"mls/{split}/audio/{name.rpartition('_')[0].replace('_', '/')}/{name}.flac")
        write(f"mls/{split}/transcripts.txt", "".join(f'{name}\t"so {name}\n' for name in ids))
        write(f"mls/{split}/segments.txt", "".join(f"{name}\thttp://x/a.mp3\t1.0\t2.0\n" for name in ids))
    return {"252_1406_000000": b"252", "252_1406_000001": b"252", "31_9_000000": b"31"}


@pytest.mark.parametrize("pattern", ["mls/train", "mls/train/**", "mls/train/transcripts.txt"])
@pytest.mark.parametrize("options", [{}, {"shard_bytes": 1}])
def test_multilingual_librispeech(mls, read, pattern, options):
    found = read(pattern, **options)
    assert [(clip.id, clip.fields["speaker"]) for clip in found.clips] == list(mls.items())
    for clip in found.clips:
        assert clip.fields["text"] == f'"so {clip.id}'.encode()
        (path,) = Path("mls").rglob(f"{clip.id}.flac")
        assert clip.audio == path.read_bytes()
    assert (found.damages, found.told) == ([], [])


def test_multilingual_librispeech_as_opus(mls, read):
    for path in Path("mls").rglob("*.flac"):
        path.rename(path.with_suffix(".opus"))
    assert [clip.id for clip in read("mls/train").clips] == list(mls)


def test_what_is_amiss_in_multilingual_librispeech_is_told(mls, read, tone):
    assert read("mls").told[0].startswith("mls has the splits dev, train")
    assert "--input=mls/train/transcripts.txt takes clips and texts" in read("mls/train/audio").told[0]
    Path("mls/train/audio/31/9/31_9_000000.flac").rename("mls/train/audio/31/9/31_9_000001.flac")
    with open("mls/train/transcripts.txt", "a") as file:
        file.write("no id\tx\n")
    found = read("mls/train")
    assert [(damage.reject.reason, damage.reject.record_id) for damage in found.damages] == [
        ("not_found", "31_9_000000"),
        ("bad_row", None),
    ]
    assert found.told == ["left out: 1 audio file that no row names: mls/train/audio/31/9/31_9_000001.flac"]


def test_a_table_called_as_theirs_of_other_ids_is_not_multilingual_librispeechs(tmp_path, monkeypatch, read, tone):
    monkeypatch.chdir(tmp_path)
    tone("common_voice_1.wav")
    write("transcripts.txt", "common_voice_1\thello\n")
    assert [clip.id for clip in read(".").clips] == ["common_voice_1.wav"]


@pytest.mark.parametrize("folder", ["audio/dev", "dev"])
def test_fleurs(tmp_path, monkeypatch, read, tone, folder):
    monkeypatch.chdir(tmp_path)
    for name in ("11.wav", "12.wav"):
        tone(f"{folder}/{name}")
    rows = [f'5\t{name}\t"Raw," he said.\traw he said\tr a w |\t8000\tFEMALE\n' for name in ("12.wav", "11.wav")]
    write("dev.tsv", "".join(rows))
    found = read("dev.tsv")
    assert [clip.id for clip in found.clips] == [f"{folder}/12.wav", f"{folder}/11.wav"]
    assert [clip.audio for clip in found.clips] == [
        Path(folder, name).read_bytes() for name in ("12.wav", "11.wav")
    ]
    texts = {(clip.fields["text"], clip.fields["raw_transcription"]) for clip in found.clips}
    assert texts == {(b"raw he said", b'"Raw," he said.')}
    assert (found.damages, found.told) == ([], [])
    assert "--input=dev.tsv takes clips and texts" in read(".").told[0].replace("./", "")


def test_voxpopuli(tmp_path, monkeypatch, read, tone):
    monkeypatch.chdir(tmp_path)
    tone("2009/20090112-0900-PLENARY-1-en.ogg", format="OGG")
    header = "id\traw_text\tnormalized_text\tspeaker_id\tsplit\tgender\n"
    write("asr_train.tsv", f'{header}20090112-0900-PLENARY-1-en\t"Yes."\tyes\t7\ttrain\tmale\n')
    (clip,) = read("asr_train.tsv", columns={"text": "raw_text"}).clips
    assert clip.audio == Path("2009/20090112-0900-PLENARY-1-en.ogg").read_bytes()
    assert (clip.id, clip.fields["text"]) == ("20090112-0900-PLENARY-1-en", b'"Yes."')
    assert "asr_train.tsv takes clips and texts" in read(".").told[0]


def test_voxpopuli_as_a_csv_has_quotes_that_enclose(tmp_path, monkeypatch, read, tone):
    monkeypatch.chdir(tmp_path)
    tone("2009/20090112-1-en.ogg", format="OGG")
    header = "id,raw_text,normalized_text,speaker_id,split\n"
    write("train.csv", f'{header}20090112-1-en,"Yes, ""I"" do.","yes",7,train\n')
    (clip,) = read("train.csv").clips
    assert (clip.fields["raw_text"], clip.fields["normalized_text"]) == (b'Yes, "I" do.', b"yes")


@pytest.fixture
def tedlium(tmp_path, monkeypatch, tone):
    """Two talks, each a recording with its table of segments."""
    monkeypatch.chdir(tmp_path)
    Path("ted/train/stm").mkdir(parents=True)
    said = {}
    for talk, label in (("Gore_2006", "<o,f0,male> "), ("Huey_2010X", "<NA> "), ("Hall_1", "")):
        tone(f"ted/train/sph/{talk}.sph", seconds=3, format="NIST")
        rows = [
            ("0.00", "0.50", "ignore_time_segment_in_scoring"),
            ("0.50", "1.25", "it 's  1"),
            ("1.25", "3", "<unk> a"),
        ]
        lines = (f"{talk} 1 {talk} {start} {end} {label}{text}\n" for start, end, text in rows)
        write(f"ted/train/stm/{talk}.stm", "".join(lines))
        said |= {f"{talk}@{start}-{end}": text.encode() for start, end, text in rows[1:]}
    return dict(sorted(said.items()))


@pytest.mark.parametrize("pattern", ["ted/train", "ted/train/stm", "ted/train/stm/*.stm"])
def test_tedliums_talks_are_cut_into_what_is_said(tedlium, read, pattern):
    found = read(pattern)
    assert {clip.id: clip.fields["text"] for clip in found.clips} == tedlium
    for clip in found.clips:
        talk, start, end = clip.id.replace("@", "-").split("-")
        whole = soundfile.read(f"ted/train/sph/{talk}.sph", always_2d=True)[0]
        np.testing.assert_array_equal(clip.samples, whole[round(float(start) * 16000) : round(float(end) * 16000)])
        assert clip.fields["speaker"] == talk.encode()
    assert found.damages == []
    assert found.told == [
        f"{pattern}: 3 rows are comments or marked ignore_time_segment_in_scoring, and left out",
    ]
    assert read(pattern, shard_bytes=1).clips == found.clips


def test_a_talks_table_may_begin_with_comments(tedlium, read):
    for path in Path("ted").rglob("*.stm"):
        path.write_text(f';; CATEGORY "0" "" ""\n\n;; LABEL "O" "Overall" ""\n{path.read_text()}')
    found = read("ted/train")
    assert {clip.id: clip.fields["text"] for clip in found.clips} == tedlium
    assert found.told == [
        "ted/train: 9 rows are comments or marked ignore_time_segment_in_scoring, and left out",
    ]


def test_what_is_amiss_in_a_talk_is_told(tedlium, read):
    write("ted/train/stm/Hall_1.stm", "Hall_1 1 Hall_1 0.5 1.0 hello\nHall_1 1 Hall_1\n;; end\n")
    Path("ted/train/sph/Gore_2006.sph").unlink()
    found = read("ted/train")
    assert [(damage.reject.reason, damage.reject.record_id) for damage in found.damages] == [
        ("not_found", "Gore_2006@0.50-1.25"),
        ("not_found", "Gore_2006@1.25-3"),
        ("bad_row", None),
    ]


def test_quoted_line_feeds_are_inside_their_row(corpus, read):
    write("m.csv", 'audio,text\r\na.wav,"one\r\ntwo, ""three"""\r\nsub/b.flac,four\r\n')
    for options in ({}, {"shard_bytes": 1}):
        assert [clip.fields["text"] for clip in read("m.csv", **options).clips] == [
            b'one\r\ntwo, "three"',
            b"four",
        ]


@pytest.mark.parametrize("mark", ["\u2028", "\x0b", "\x0c", "\x1c", "\x85"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_what_only_python_takes_for_the_end_of_a_line_is_text(corpus, read, mark, quote):
    write("m.csv", f"audio,text\na.wav,{quote}one{mark}two{quote}\nsub/b.flac,three\n")
    texts = [clip.fields["text"].decode() for clip in read("m.csv").clips]
    assert texts == [f"one{mark}two", "three"]


@pytest.mark.parametrize("said", ['"Yes," she said', '"Yes she said', '"No" and "yes"'])
def test_quotes_that_enclose_no_column(corpus, read, said):
    """A TSV's are then literal, all of them; in a CSV, where they would be doubled, the row is a reject."""
    write("m.tsv", f'audio\ttext\na.wav\t{said}\nsub/b.flac\t"ok"\n')
    assert [clip.fields["text"].decode() for clip in read("m.tsv").clips] == [said, '"ok"']
    if said.count('"') % 2 == 0:
        write("m.csv", f"audio,text\na.wav,{said}\nsub/b.flac,ok\n")
        found = read("m.csv")
        assert [clip.fields["text"] for clip in found.clips] == [b"ok"]
        assert [(damage.place, damage.reject.reason) for damage in found.damages] == [("m.csv#0", "bad_row")]


def test_a_carriage_return_within_a_row_is_its_reject(corpus, read):
    write("m.csv", "audio,text\na.wav,one\rtwo\nsub/b.flac,three\n")
    found = read("m.csv")
    assert ([clip.id for clip in found.clips], len(found.damages)) == (["sub/b.flac"], 1)


def test_paths_and_uris_relative_and_absolute(corpus, read, tmp_path, tone):
    tone("with space.wav")
    paths = [
        "../a.wav",
        "./../a.wav",
        f"{tmp_path}/a.wav",
        f"file://{tmp_path}/a.wav",
        f"file://{tmp_path}/with%20space.wav",
    ]
    Path("list").mkdir()
    write("list/m.jsonl", lines(*({"audio": path} for path in [*paths, "https://host/a.wav"])))
    found = read("list/m.jsonl")
    expected = [Path("a.wav").read_bytes()] * 4 + [Path("with space.wav").read_bytes()]
    assert [clip.audio for clip in found.clips] == expected
    assert [(damage.reject.reason, damage.reject.record_id) for damage in found.damages] == [
        ("not_found", "https://host/a.wav")
    ]


def test_upper_case_endings(corpus, read):
    for name, text in (("M.CSV", "audio,text\na.wav,x\n"), ("M.JSONL", lines({"audio": "a.wav", "text": "x"}))):
        write(name, text)
        assert [clip.fields["text"] for clip in read(name).clips] == [b"x"]


@pytest.mark.parametrize("name", ["a.wav", "sub/b.flac", "clips/c.mp3"])
def test_segments_are_the_samples_of_the_whole(corpus, read, name):
    write("m.jsonl", lines(*({"audio": name, "offset": k / 10, "duration": 0.1} for k in (3, 0, 1))))
    found = read("m.jsonl")
    rate = soundfile.info(name).samplerate
    whole = decode_audio(Path(name).read_bytes(), sampling_rate=rate).samples
    assert [clip.id for clip in found.clips] == [f"{name}@0.3-0.4", f"{name}@0-0.1", f"{name}@0.1-0.2"]
    for clip, first in zip(found.clips, (4800, 0, 1600), strict=True):
        assert soundfile.info(io.BytesIO(clip.audio)).samplerate == rate
        samples = decode_audio(clip.audio, sampling_rate=rate).samples
        assert (samples == whole[first : first + 1600]).all()


def test_segments_of_several_channels_keep_them(tmp_path, read, tone):
    written = tone("two.wav", channels=2)
    write(f"{tmp_path}/m.jsonl", lines({"audio": "two.wav", "start": 0.25, "end": 0.375}))
    (clip,) = read(tmp_path / "m.jsonl").clips
    assert (soundfile.read(io.BytesIO(clip.audio), dtype="int16")[0] == written[4000:6000]).all()


def test_a_name_says_nothing_of_what_a_segments_file_is(tmp_path, read, tone):
    written = tone("a.wav")
    shutil.copy(tmp_path / "a.wav", tmp_path / "a.raw")
    (tmp_path / "samples.raw").write_bytes(written.tobytes())  # which soundfile asks the rate of, by the name
    rows = ({"audio": f"{name}.raw", "start": 0.25, "end": 0.375} for name in ("a", "samples"))
    write(f"{tmp_path}/m.jsonl", lines(*rows))
    found = read(tmp_path / "m.jsonl")
    (clip,), (damage,) = found.clips, found.damages
    assert (soundfile.read(io.BytesIO(clip.audio), dtype="int16")[0] == written[4000:6000, 0]).all()
    assert damage.reject.reason == "bad_audio"


def test_a_float_wavs_segments_are_exact(tmp_path, read):
    samples = np.random.default_rng(0).standard_normal(8000).astype(np.float32) / 7
    soundfile.write(tmp_path / "f.wav", samples, 8000, subtype="FLOAT")
    write(f"{tmp_path}/m.jsonl", lines({"audio": "f.wav", "start": 0.5}))
    (clip,) = read(tmp_path / "m.jsonl").clips
    assert (soundfile.read(io.BytesIO(clip.audio), dtype="float32")[0] == samples[4000:]).all()


@pytest.mark.parametrize(
    ("name", "options"), [("x.ogg", {}), ("x.mp3", {}), ("x.m4a", {}), ("y.m4a", {"channels": 2})]
)
def test_other_formats_are_decoded_once_a_unit_at_their_own_rate(tmp_path, read, monkeypatch, name, options):
    """Segments of two files in turn, as a shuffled manifest has them; an M4A is what libsndfile does not open."""
    channels = options.get("channels", 1)
    for other in ("one", "two"):
        write_clip(tmp_path / f"{other}-{name}", 44_100, channels)
    times = [0.5, 0.125, 0.75, 0.0]
    rows = [{"audio": f"{other}-{name}", "start": t, "end": t + 0.125} for t in times for other in ("one", "two")]
    write(f"{tmp_path}/m.jsonl", lines(*rows))
    decoded = []
    monkeypatch.setattr(
        segments, "decode_audio", lambda data, **how: decoded.append(how) or decode_audio(data, **how)
    )
    clips = read(tmp_path / "m.jsonl").clips
    assert len(clips) == 8
    # Of an M4A the rate is known once it is decoded.
    assert len(decoded) == (4 if name.endswith("m4a") else 2)
    for clip, row in zip(clips, rows, strict=True):
        whole = decode_audio((tmp_path / row["audio"]).read_bytes(), sampling_rate=44_100).samples
        found = decode_audio(clip.audio, sampling_rate=44_100)
        assert not found.resampled
        first = round(row["start"] * 44_100)
        assert (found.samples == whole[first : round(row["end"] * 44_100)]).all()


def write_clip(path, rate, channels):
    """A second of noise in the format that the name says; M4A through PyAV."""
    samples = np.random.default_rng(len(path.name)).standard_normal((rate, channels)).astype(np.float32) / 8
    if path.suffix != ".m4a":
        soundfile.write(path, samples, rate)
        return
    av = pytest.importorskip("av")
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono" if channels == 1 else "stereo")
        frame = av.AudioFrame.from_ndarray(samples.T.copy(), format="fltp", layout=stream.layout.name)
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_segments_of_a_cut_file_are_all_rejects(tmp_path, read, tone, ending):
    tone(f"x.{ending}", 2.0)
    path = tmp_path / f"x.{ending}"
    path.write_bytes(path.read_bytes()[:-9000])
    write(f"{tmp_path}/m.jsonl", lines(*({"audio": path.name, "start": s, "end": s + 0.1} for s in (0, 0.5))))
    found = read(tmp_path / "m.jsonl")
    assert (len(found.clips), [damage.reject.reason for damage in found.damages]) == (0, ["bad_audio"] * 2)


def test_what_is_wrong_with_a_row_is_its_reject(corpus, read):
    rows = [
        {"audio": "a.wav"},
        {"audio": "gone.wav", "text": "kept"},
        {"text": "no audio"},
        {"audio": "a.wav", "start": "soon"},
        {"audio": "a.wav", "start": 2.0, "end": 1.0},
        {"audio": "a.wav", "start": 0.0, "end": 9.0},
        {"audio": "sub"},
    ]
    write("m.jsonl", lines(*rows) + "{torn\n[1]\n")
    found = read("m.jsonl")
    assert [clip.place for clip in found.clips] == ["m.jsonl#0"]
    assert [(damage.place[-1], damage.reject.reason) for damage in found.damages] == [
        ("1", "not_found"),
        ("2", "bad_row"),
        ("3", "bad_row"),
        ("4", "bad_row"),
        ("5", "bad_row"),
        ("6", "not_found"),
        ("7", "bad_row"),
        ("8", "bad_row"),
    ]
    assert found.damages[0].reject.record_id == "gone.wav"


def test_rejects_are_read_again_once_their_audio_is_there(corpus, read, tone, tmp_path):
    write(
        "m.jsonl", lines({"audio": "gone.wav", "text": "kept", "n": 3}, {"audio": "a.wav", "start": 0, "end": 9})
    )
    rejects = tmp_path / "rejects.tfrecord"
    with open(rejects, "wb") as file:
        writer = TFRecordWriter(file)
        for damage in read("m.jsonl").damages:
            writer.write(to_reject(damage.data, damage.reject, damage.place))
    before = read(rejects)
    assert [damage.reject.reason for damage in before.damages] == ["not_found", "bad_row"]
    tone("gone.wav")
    again = read(rejects)
    assert [(clip.id, clip.fields) for clip in again.clips] == [("gone.wav", {"text": b"kept", "n": 3})]
    assert again.clips[0].audio == Path("gone.wav").read_bytes()
    assert [damage.reject.record_id for damage in again.damages] == ["a.wav@0-9"]


def test_a_file_above_the_limit_is_a_reject_with_its_size(corpus, read):
    write("m.jsonl", lines({"audio": "a.wav"}))
    (damage,) = read("m.jsonl", max_record_bytes=1000).damages
    assert damage.reject.reason == "over_limit"
    assert f"{Path('a.wav').stat().st_size} bytes" in damage.reject.detail


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("a,b\n1,2\n", {}, "no column that names audio; it has a, b"),
        ("audio,text\n", {"columns": {"who": "speaker"}}, "no column 'speaker', which --columns names"),
        ("audio,source\na.wav,x\n", {}, "rename it with --columns=my_source=source"),
        ("", {}, "is empty"),
        ('[{"audio": "a.wav"}]', {}, "is one JSON list"),
        ('audio,text\na.wav,"never\nclosed,1\n', {}, "a quote in row 1 is never closed"),
        ("audio,text,text\na.wav,x,y\n", {}, "two columns 'text': rename one of them"),
        ("a.wav,hello\nb.wav,you\n", {}, "has no header.*holds 'a.wav'"),
        ("audio,text\ra.wav,x\r", {}, "ends its lines with a carriage return alone"),
        ('{\n "audio": "a.wav"\n}', {}, "no row is a JSON object.*write one object a line"),
        ("audio,text\nhttps://host/a.wav,x\n", {}, "https:// cannot be read"),
        ("audio,text\na.wav,x\n", {"encoding_of_text": "klingon"}, "no encoding that Python knows"),
        ("audio,text\na.wav,x\n", {"encoding_of_text": "utf-16"}, "convert the file to UTF-8 first"),
    ],
)
def test_what_makes_every_row_a_reject_is_refused(corpus, read, text, options, told):
    write("m.csv", text)
    with pytest.raises(ValueError, match=told.replace("(", r"\(")):
        read("m.csv", **options)


def test_another_encoding_is_refused_by_name_and_read_when_it_is_told(corpus, read):
    write("m.csv", "audio,text\na.wav,café\n", "latin-1")
    with pytest.raises(ValueError, match=r"m\.csv is not utf-8.*--encoding_of_text"):
        read("m.csv")
    assert read("m.csv", encoding_of_text="latin-1").clips[0].fields == {"text": "café".encode()}
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        write("wide.csv", "audio,text\na.wav,x\n", encoding)
        with pytest.raises(ValueError, match="is UTF-16: convert it"):
            read("wide.csv")


def test_a_duration_is_compared_and_does_not_cut(corpus, read):
    write("m.jsonl", lines({"audio_filepath": "a.wav", "duration": 0.3}))
    (clip,) = read("m.jsonl").clips
    assert (len(clip.samples), clip.seconds, clip.fields["duration"]) == (8000, 0.3, pytest.approx(0.3))


def test_the_plan_is_that_of_the_manifest_alone(corpus, read):
    write("m.jsonl", lines(*({"audio": "a.wav", "duration": 1.0, "k": k} for k in range(10))))
    units = read("m.jsonl", shard_bytes=64_000).units
    assert [unit.num_records for unit in units] == [2] * 5
    Path("a.wav").unlink()
    assert read("m.jsonl", shard_bytes=64_000).units == units
    write("m.jsonl", lines(*({"audio": "a.wav", "duration": 1.0, "k": 9 - k} for k in range(10))))
    assert read("m.jsonl", shard_bytes=64_000).units != units  # of the same size


def test_ids_are_relative_to_the_root(corpus, read, tmp_path):
    write("m.jsonl", lines({"audio": f"{tmp_path}/sub/b.flac"}, {"audio": "/elsewhere/x.wav"}))
    assert read("m.jsonl", root=f"{tmp_path}/").clips[0].id == "sub/b.flac"
    assert read("m.jsonl", root=f"{tmp_path}/").damages[0].reject.record_id == "/elsewhere/x.wav"


def test_a_unit_reads_its_own_rows_whatever_lies_before(corpus):
    write("m.jsonl", lines(*({"audio": "a.wav", "id": str(k)} for k in range(5))))
    from melbeam.pipelines.sources.planning import plan_units
    from melbeam.pipelines.sources.units import SourceOptions

    last = plan_units(["m.jsonl"], SourceOptions(shard_bytes=1)).units[-1]
    (item,) = read_unit(Unit.from_json(json.loads(json.dumps(last.to_json()))))
    assert item.place == "m.jsonl#4"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 0.5, 2], [1.0, 0.5, 2.0]),
        ([7, "7b", None], [b"7", b"7b", None]),
        ([0.5, "x", True], [b"0.5", b"x", b"1"]),
        ([[1, 2], [0.5], 3], [[1.0, 2.0], 0.5, 3.0]),
        ([{"a": 1}, 4, ["x", "y"]], [b'{"a": 1}', b"4", [b"x", b"y"]]),
        ([2**63, 1, 2], [b"9223372036854775808", b"1", b"2"]),
        ([2**24, 0.5], [float(2**24), 0.5]),
        ([2**24 + 1, 0.5, [1, -(2**24) - 1]], [b"16777217", b"0.5", [b"1", b"-16777217"]]),
    ],
)
def test_a_column_of_several_types_becomes_one(corpus, read, values, expected):
    rows = [{"audio": "a.wav", "id": str(k), "k": value} for k, value in enumerate(values)]
    write("m.jsonl", lines(*rows))
    for options in ({}, {"shard_bytes": 1}):  # also where each row is a unit of its own
        found = read("m.jsonl", **options)
        assert [clip.fields.get("k") for clip in found.clips] == expected
    is_text = any(isinstance(value, bytes) for value in expected)
    assert any("column 'k' holds" in line for line in found.told) == is_text
    # One type over all files of an input: they become one split.
    write("one.jsonl", lines(rows[0]))
    write("two.jsonl", lines(*rows[1:]))
    assert [clip.fields.get("k") for clip in read("one.jsonl", "two.jsonl").clips] == expected


def test_a_column_of_one_type_is_left_alone(corpus, read):
    write("m.jsonl", lines({"audio": "a.wav", "k": 1}, {"audio": "a.wav", "id": "b"}, {"audio": "a.wav", "k": 3}))
    found = read("m.jsonl")
    assert [clip.fields.get("k") for clip in found.clips] == [1, None, 3]
    assert "types" not in found.units[0].details


def test_fields_inside_of_others_have_dotted_names(corpus, read):
    said = {"text": "x", "by": {"name": "anna", "age": 7}}
    write("m.jsonl", lines({"sample": {"file": "a.wav", "said": said}, "n": 1}))
    columns = {"audio": "sample.file", "text": "sample.said.text", "speaker": "sample.said.by.name"}
    (clip,) = read("m.jsonl", columns=columns).clips
    assert clip.audio == Path("a.wav").read_bytes()
    rest = clip.fields.pop("sample")
    assert clip.fields == {"text": b"x", "speaker": b"anna", "n": 1}
    assert json.loads(rest) == {"said": {"by": {"age": 7}}}
    with pytest.raises(ValueError, match=r"no column 'sample\.text'.*it has sample, sample\.file, sample\.said"):
        read("m.jsonl", columns={"audio": "sample.file", "text": "sample.text"})


def test_a_header_may_be_written_in_any_way(corpus, read):
    for text in (
        "Audio,Transcript,ID\na.wav,x y,1\n",
        'audio, text, id\na.wav, "x y", 1\n',
        '"audio","text","id","of\r\nlines"\r\na.wav,"x y",1,\r\n',
        "audio ;text; id\na.wav;x y;1\n",
    ):
        write("m.csv", text)
        (clip,) = read("m.csv").clips
        assert (clip.id, clip.fields["text"]) == ("1", b"x y")


def test_spellings_are_those_of_all_rows(corpus, read):
    rows = [{"audio": "a.wav", "id": str(k)} for k in range(150)]
    write("m.jsonl", lines(*rows, {"audio": "a.wav", "id": "last", "transcript": "late", "end": 0.25}))
    last = read("m.jsonl").clips[-1]
    assert (last.id, last.fields["text"], len(last.samples)) == ("last", b"late", 4000)


def test_ids_that_come_again_are_told(corpus, read):
    write("m.jsonl", lines({"audio": "a.wav"}, {"audio": "sub/b.flac"}, {"audio": "a.wav"}))
    assert [line for line in read("m.jsonl").told if "1 row has an id that an earlier row has (a.wav)" in line]
    write("m.jsonl", lines({"audio": "a.wav"}, {"audio": "sub/b.flac"}))
    assert read("m.jsonl").told == []


def test_manifests_in_several_folders_of_one_input(corpus, read, tone):
    for name in ("set/x/clip.wav", "set/y/clip.wav", "set/y/other.wav"):
        tone(name)
    for folder in ("x", "y"):
        write(f"set/{folder}/metadata.csv", f"file_name,text\nclip.wav,{folder}\n")
    found = read("set")
    assert [(clip.id, clip.fields["text"]) for clip in found.clips] == [("x/clip.wav", b"x"), ("y/clip.wav", b"y")]
    assert found.told == ["left out: 1 audio file that no row names: set/y/other.wav"]
    assert [clip.id for clip in read("set/*/metadata.csv").clips] == ["x/clip.wav", "y/clip.wav"]
    assert [clip.id for clip in read("set/x/metadata.csv").clips] == ["clip.wav"]


@pytest.mark.parametrize("name", ["recordings", "supervisions"])
def test_parts_of_lhotses_cuts_are_refused_by_name(corpus, read, name):
    recording = {"id": "r", "sources": [{"type": "file", "channels": [0], "source": "a.wav"}], "num_samples": 8000}
    supervision = {"id": "s", "recording_id": "r", "start": 0, "duration": 1, "channel": 0, "text": "x"}
    write(f"{name}.jsonl.gz", lines(recording if name == "recordings" else supervision))
    with pytest.raises(ValueError, match=f"{name}.jsonl.gz holds lhotse's {name} alone: join them to cuts"):
        read(f"{name}.jsonl.gz")


def test_a_list_of_clips_that_is_called_text_is_refused(corpus, read):
    write("clips.txt", "a.wav|x\n")
    with pytest.raises(ValueError, match=r"clips\.txt is text by its name.*--input_format=manifest"):
        read("clips.txt")
    write("clips.txt", "audio|text\na.wav|x\n")
    assert read("clips.txt", input_format="manifest").clips[0].fields == {"text": b"x"}


def test_a_list_of_segments_is_told_to_cut_nothing(corpus, read):
    """As GigaSpeech has them."""
    row = {"path": "a.wav", "said": [{"sid": "a", "begin_time": 0.0, "end_time": 0.25, "text_tn": "x"}]}
    write("m.jsonl", lines(row))
    (told,) = read("m.jsonl").told
    assert "column 'said' may list segments" in told
    assert "jq -c '. as $row | .said[] + {path: $row.path}'" in told
    write("m.jsonl", lines(row["said"][0] | {"path": row["path"]}))
    found = read("m.jsonl", columns={"id": "sid", "text": "text_tn"})
    assert ([(clip.id, clip.fields) for clip in found.clips], found.told) == ([("a", {"text": b"x"})], [])
    write("m.jsonl", lines(row | {"said": [{"word": "x"}]}))
    assert read("m.jsonl").told == []


def test_a_list_in_a_row_hides_no_other_fault(corpus, read):
    write("m.jsonl", lines({"path": "a.wav", "source": "podcast", "said": [{"sid": "a"}]}))
    with pytest.raises(ValueError, match="column 'source', a name that melbeam writes itself"):
        read("m.jsonl")


def test_nan_is_no_value(corpus, read):
    """As pandas writes what a column lacks."""
    rows = [
        {"audio": "a.wav", "text": "x", "n": 1.0, "start": float("nan"), "end": 0.25},
        {"audio": "a.wav", "text": float("nan"), "n": float("nan"), "start": float("nan"), "end": float("nan")},
    ]
    write("m.jsonl", lines(*rows))
    found = read("m.jsonl")
    assert ([clip.fields for clip in found.clips], found.told) == ([{"text": b"x", "n": 1.0}, {}], [])
    assert [len(clip.samples) for clip in found.clips] == [4000, 8000]


def test_paths_of_windows_are_told(corpus, read):
    write("m.jsonl", lines({"audio": "sub\\b.flac"}))
    (damage,) = read("m.jsonl").damages
    assert "backslashes, as paths of Windows" in damage.reject.detail


def test_common_voices_paths_may_lack_the_ending_or_name_the_folder(corpus, read):
    paths = ("c", "c.mp3", "clips/c.mp3", "./clips/c", str(Path("clips/c.mp3").resolve()))
    write("cv.tsv", "client_id\tpath\tsentence\n" + "".join(f"n\t{path}\tx\n" for path in paths))
    found = read("cv.tsv")
    assert [clip.id for clip in found.clips] == ["clips/c.mp3"] * 4 + [paths[-1]]
    assert {clip.audio for clip in found.clips} == {Path("clips/c.mp3").read_bytes()}


@pytest.mark.parametrize(
    "text", [",audio,text\n0,a.wav,x\n", "audio,text,,\na.wav,x,,\n", "audio;text;\na.wav;x;\n"]
)
def test_columns_without_a_name_are_left_out_and_told(corpus, read, text):
    write("m.csv", text)
    found = read("m.csv")
    assert [(clip.id, clip.fields) for clip in found.clips] == [("a.wav", {"text": b"x"})]
    assert found.told == ["a column without a name is not read, in m.csv: its header names what is"]


def test_where_a_segment_starts_is_not_guessed(corpus, read):
    write("m.jsonl", lines({"audio": "a.wav", "begin_time": 0.1, "end_time": 0.2}))
    assert [clip.id for clip in read("m.jsonl").clips] == ["a.wav@0.1-0.2"]
    write("m.jsonl", lines({"audio": "a.wav", "seg_start": 0.1, "end_time": 0.2}))
    with pytest.raises(ValueError, match="name that with --columns=start=seg_start"):
        read("m.jsonl")
    assert [clip.id for clip in read("m.jsonl", columns={"start": "seg_start"}).clips] == ["a.wav@0.1-0.2"]
    write("m.jsonl", lines({"audio": "a.wav", "started_by": "n", "end": 0.2}))
    with pytest.raises(ValueError, match="--columns=my_end=end has 'end' pass through"):
        read("m.jsonl")
    (whole,) = read("m.jsonl", columns={"my_end": "end"}).clips
    assert (whole.id, whole.fields["my_end"]) == ("a.wav", pytest.approx(0.2))


def test_of_an_onset_the_offset_is_the_end(corpus, read):
    """So tables of events have it (DCASE's, BIDS'); an `offset` alone is a start, as in NeMo's."""
    write("m.tsv", "filename\tonset\toffset\tlabel\na.wav\t0.1\t0.2\tdog\na.wav\t\t\tnone\n")
    assert [(clip.id, clip.fields) for clip in read("m.tsv").clips] == [
        ("a.wav@0.1-0.2", {"label": b"dog"}),
        ("a.wav", {"label": b"none"}),
    ]
    write("m.csv", "filename,Onset,duration\na.wav,0.1,0.2\n")
    assert [clip.id for clip in read("m.csv").clips] == ["a.wav@0.1-0.3"]
    write("m.csv", "filename,offset,duration\na.wav,0.1,0.2\n")
    assert [clip.id for clip in read("m.csv").clips] == ["a.wav@0.1-0.3"]


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (("start_ms", "end_ms"), "start=start_ms,end=end_ms"),
        (("startTime", "endTime"), "start=startTime,end=endTime"),
        (("seg_begin", "seg_dur"), "start=seg_begin,duration=seg_dur"),
    ],
)
def test_columns_that_may_be_times_are_told_where_no_row_is_cut(corpus, read, names, asked):
    write("m.jsonl", lines({"audio": "a.wav", "gender": "f", **dict.fromkeys(names, 0.1)}))
    told = f"m.jsonl: columns {names[0]!r} and {names[1]!r} may say which part of its file a row is"
    (line,) = read("m.jsonl").told
    assert line.startswith(told)
    assert f"--columns={asked} cuts" in line
    assert read("m.jsonl", columns={f"my_{names[0]}": names[0]}).told == []
    write("m.jsonl", lines({"audio": "a.wav", "started": 0.1, "gender": "f", "send_at": 0.2}))
    assert read("m.jsonl").told == []


@pytest.mark.parametrize("audio", ["UklGR" * 1000, list(range(4000))])
def test_audio_in_the_place_of_its_path_is_a_reject_of_few_words(corpus, read, audio):
    write("m.jsonl", lines({"audio": audio, "text": "x"}, {"audio": "a.wav"}))
    found = read("m.jsonl")
    assert [clip.id for clip in found.clips] == ["a.wav"]
    (damage,) = found.damages
    assert damage.reject.detail.startswith("audio must be the path of an audio file, got ")
    assert len(damage.reject.detail) < 300


def test_a_rate_that_is_text_makes_no_text_of_the_others(corpus, read):
    write("m.jsonl", lines({"audio": "a.wav", "sampling_rate": "8k"}, {"audio": "a.wav", "sampling_rate": 16000}))
    assert [clip.fields["sampling_rate"] for clip in read("m.jsonl").clips] == [b"8k", 16000]


@pytest.mark.parametrize("name", ["m.jsonl", "m.csv"])
def test_a_column_may_be_several_of_ours(corpus, read, name):
    write(name, lines({"audio": "a.wav", "said": "x"}) if name == "m.jsonl" else "audio,said\na.wav,x\n")
    (clip,) = read(name, columns={"id": "said", "text": "said", "label": "said"}).clips
    assert (clip.id, clip.fields) == ("x", {"text": b"x", "label": b"x"})


@pytest.mark.parametrize("order", [("text", "said", "id", "key"), ("key", "said", "id", "text")])
def test_a_column_gives_way_to_the_one_that_gets_its_name(corpus, read, order):
    row = {"text": "theirs", "said": "asked for", "id": "not this", "key": "clip"}
    write("m.csv", f"path,{','.join(order)}\na.wav,{','.join(row[name] for name in order)}\n")
    (clip,) = read("m.csv", columns={"text": "said", "id": "key"}).clips
    assert (clip.id, clip.fields) == ("clip", {"text": b"asked for"})


def test_columns_may_not_give_names_that_melbeam_writes_itself(corpus, read):
    write("m.jsonl", lines({"audio": "a.wav", "n": 1}))
    with pytest.raises(ValueError, match="=num_frames=n gives a column a name that melbeam writes itself"):
        read("m.jsonl", columns={"num_frames": "n"})


def test_uris_of_files_have_one_slash_or_three(corpus, read):
    path = str(Path("a.wav").resolve())
    write("m.jsonl", lines(*({"audio": f"file:{slashes}{path[1:]}"} for slashes in ("/", "///", "//localhost/"))))
    assert [clip.audio for clip in read("m.jsonl").clips] == [Path("a.wav").read_bytes()] * 3


def test_what_is_to_be_downloaded_first_is_told(corpus, read):
    write("m.jsonl", lines({"audio": "https://example.org/a.wav"}))
    with pytest.raises(ValueError, match=r"https:// cannot be read or written here: .*download the files first"):
        read("m.jsonl")


def test_a_row_that_says_two_things_under_one_name_is_its_reject(corpus, read):
    twice = '{"audio": "a.wav", "text": "one", "text": "two"}\n'
    write(
        "m.jsonl", lines({"audio": "a.wav", "text": "x"}) + twice + '{"audio": "a.wav", "of": {"k": 1, "k": 2}}\n'
    )
    found = read("m.jsonl")
    assert [clip.fields["text"] for clip in found.clips] == [b"x"]
    assert [damage.reject.reason for damage in found.damages] == ["bad_row", "bad_row"]
    assert "'text' stands twice in an object" in found.damages[0].reject.detail


def test_integers_that_no_float_is_near_to(corpus, read):
    rows = [{"start": 10**400}, {"start": 0, "duration": 10**400}, {"k": [2**63, 1]}, {"k": [10**400, 0.5]}]
    write("m.jsonl", lines(*({"audio": "a.wav", "id": str(n), **row} for n, row in enumerate(rows))))
    found = read("m.jsonl")
    assert [damage.reject.reason for damage in found.damages] == ["bad_row", "bad_row"]
    assert [clip.fields["k"] for clip in found.clips] == [
        [b"9223372036854775808", b"1"],
        b"[1%s, 0.5]" % (b"0" * 400),
    ]


def test_a_column_that_is_asked_for_may_be_in_later_rows_alone(corpus, read):
    rows = [{"audio": "a.wav", "id": str(n)} for n in range(120)]
    write("m.jsonl", lines(*rows, {"audio": "a.wav", "said": "x"}))
    assert read("m.jsonl", columns={"text": "said"}).clips[-1].fields == {"text": b"x"}
    with pytest.raises(ValueError, match="has no column 'spoken'"):
        read("m.jsonl", columns={"text": "spoken"})


def test_a_text_in_parts_is_said_throughout_its_segment(corpus, read):
    write("m.jsonl", lines({"audio": "a.wav", "start": 0, "end": 0.1, "text": ["one", "two"]}))
    (unit,) = read("m.jsonl").units
    assert next(read_unit(unit)).segments == '[[0.0, null, "one two"]]'
