"""Folders of audio files: which files are clips, their ids, their texts, and how they become units."""

import os
import shutil
from pathlib import Path
from unicodedata import normalize

import pytest

from helpers import write
from melbeam.pipelines.sources.units import SourceOptions, runs
from melbeam.transforms.records.examples import to_reject


@pytest.fixture
def clips(tmp_path, monkeypatch, tone):
    monkeypatch.chdir(tmp_path)
    for name in ("clips/a.wav", "clips/deep er/b.flac", "clips/deep er/c.OGG"):
        tone(name, format="OGG" if name.endswith("OGG") else None)
    return tmp_path


@pytest.mark.parametrize("pattern", ["clips", "clips/", "clips/**", "clips/**/*", "./clips/**"])
def test_a_folder_is_read_at_all_levels(clips, read, pattern):
    found = read(pattern)
    assert [clip.id for clip in found.clips] == ["a.wav", "deep er/b.flac", "deep er/c.OGG"]
    assert found.clips[0].audio == Path("clips/a.wav").read_bytes()


def test_ids_are_those_below_the_first_wildcard_or_the_root(clips, read):
    assert [clip.id for clip in read("clips/deep er/*.flac").clips] == ["b.flac"]
    assert [clip.id for clip in read("clips/*/*.flac").clips] == ["deep er/b.flac"]
    assert [clip.id for clip in read("clips/a.wav").clips] == ["a.wav"]
    assert [clip.id for clip in read("clips/deep er/*.flac", root="clips/").clips] == ["deep er/b.flac"]


def test_a_clip_keeps_its_id_whatever_others_there_are(clips, read):
    before = read("clips/**").clips[1]
    shutil.rmtree("clips/deep er")
    os.makedirs("clips/deep er")
    Path("clips/deep er/b.flac").write_bytes(before.audio)
    os.remove("clips/a.wav")
    assert [clip.id for clip in read("clips/**").clips] == [before.id]


def test_every_file_is_a_clip_or_is_named(clips, read, tone):
    for name in ("x.aiff", "x.au", "x.caf", "x.w64"):
        tone(f"clips/{name}")
    for name in ("notes.txt", "more.txt", "README", ".hidden.wav", "._a.wav", "talk.m4a", "t.webm"):
        Path(f"clips/{name}").write_bytes(b"")
    os.symlink("nowhere", "clips/gone.wav")
    found = read("clips/**")
    assert sorted(clip.id for clip in found.clips) == sorted(
        ["a.wav", "deep er/b.flac", "deep er/c.OGG", "talk.m4a", "t.webm", "x.aiff", "x.au", "x.caf", "x.w64"]
    )
    assert found.told == [
        "2 clips that only the extra melbeam[media] decodes: clips/t.webm, clips/talk.m4a",
        "left out: 2 .txt files: clips/more.txt, clips/notes.txt",
        "left out: 1 file of macOS (._ name): clips/._a.wav",
        "left out: 1 file without an ending: clips/README",
        "left out: 1 hidden file: clips/.hidden.wav",
        "left out: 1 link that leads to nothing: clips/gone.wav",
    ]


def test_sphere_is_a_clip(clips, read, tone):
    tone("clips/s.sph", format="NIST")
    assert "s.sph" in [clip.id for clip in read("clips/**").clips]


def test_a_name_that_is_no_utf8_is_percent_encoded(clips, read):
    shutil.copy(b"clips/a.wav", b"clips/caf\xe9.wav")
    found = read("clips/**")
    assert [clip.id for clip in found.clips][:2] == ["a.wav", "caf%E9.wav"]
    assert found.clips[1].audio == found.clips[0].audio


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_one_file_that_may_not_be_read_is_a_reject(clips, read):
    os.chmod("clips/a.wav", 0)
    assert [damage.reject.reason for damage in read("clips/**").damages] == ["not_found"]


def test_one_file_that_is_gone_since_the_plan_is_a_reject(clips, read):
    from melbeam.pipelines.sources.planning import plan_units, read_unit

    (unit,) = plan_units(["clips/**"], SourceOptions()).units
    os.remove("clips/deep er/b.flac")
    reasons = [getattr(getattr(item, "reject", None), "reason", None) for item in read_unit(unit)]
    assert reasons == [None, "not_found", None]


def test_a_file_above_the_limit_is_not_read(clips, read):
    with open("clips/huge.wav", "wb") as file:
        file.truncate(3 << 30)  # a sparse file of 3 GiB: reading it would take that much memory
    (damage,) = read("clips/**", max_record_bytes=(1 << 31) - 1).damages
    assert (damage.reject.reason, f"{3 << 30} bytes" in damage.reject.detail) == ("over_limit", True)


def test_no_clip_at_all_is_refused(tmp_path, read):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"none of the 1 files is audio by its name \(left out: 1 \.txt file"):
        read(tmp_path, input_format="audio")


@pytest.fixture
def librispeech(tmp_path, monkeypatch, tone):
    monkeypatch.chdir(tmp_path)
    for chapter, texts in (("84/121", ["ONE TWO", "THREE"]), ("85/7", ["FOUR  FIVE"])):
        name = chapter.replace("/", "-")
        for number in range(len(texts)):
            tone(f"libri/{chapter}/{name}-{number:04d}.flac")
        lines = [f"{name}-{number:04d} {text}\n" for number, text in enumerate(texts)]
        Path(f"libri/{chapter}/{name}.trans.txt").write_text("".join(lines))
    Path("libri/README.TXT").write_text("x")
    return {"84-121-0000": b"ONE TWO", "84-121-0001": b"THREE", "85-7-0000": b"FOUR  FIVE"}


@pytest.mark.parametrize("pattern", ["libri", "libri/**/*.flac", "libri/**", "libri/*/*/*.flac"])
def test_librispeechs_layout(librispeech, read, pattern):
    for options in ({}, {"shard_bytes": 1}):
        found = read(pattern, **options)
        assert {clip.id: clip.fields["text"] for clip in found.clips} == librispeech
    assert [unit.num_records for unit in found.units] == [1, 1, 1]


def test_librispeechs_speakers(librispeech, read):
    """SPEAKER-CHAPTER-UTTERANCE in a file of that speaker and chapter, and in none of another name."""
    for name, options in (("speaker", {}), ("who", {"columns": {"who": "speaker"}})):
        assert [clip.fields[name] for clip in read("libri", **options).clips] == [b"84", b"84", b"85"]
    folder = Path("libri/84/121")
    (folder / "84-121.trans.txt").rename(folder / "84-1.trans.txt")
    (folder / "84-0.trans.txt").write_text("84-121-0000 AGAIN\n")
    assert [clip.fields.get("speaker") for clip in read("libri").clips] == [None, None, b"85"]


def test_a_transcript_says_nothing_of_another_folders_clips(librispeech, read):
    shutil.copy("libri/84/121/84-121-0000.flac", "libri/85/7/84-121-0000.flac")
    found = {clip.id: clip.fields for clip in read("libri").clips}
    assert found["85/7/84-121-0000.flac"] == {}


@pytest.mark.parametrize(
    ("here", "pattern"),
    [
        (".", "lj"),
        (".", "lj/**"),
        (".", "lj/wavs/*.wav"),
        ("lj", "."),
        ("lj", "wavs"),
        ("lj/wavs", "."),
        ("lj/wavs", "*"),
        ("lj/wavs", "./*.wav"),
        ("lj/wavs", "../wavs"),
    ],
)
def test_ljspeechs_layout(tmp_path, monkeypatch, read, tone, here, pattern):
    monkeypatch.chdir(tmp_path)
    tone("lj/wavs/LJ001-0001.wav")
    tone("lj/wavs/LJ001-0002.wav")
    Path("lj/metadata.csv").write_text('LJ001-0001|In 1950, "he"|in nineteen fifty, "he"\n')
    monkeypatch.chdir(here)
    found = read(pattern, columns={"spoken": "normalized_text"})
    assert found.clips[0].id == "LJ001-0001"
    assert found.clips[0].fields == {"text": b'In 1950, "he"', "spoken": b'in nineteen fifty, "he"'}
    assert (found.clips[1].id.endswith("LJ001-0002.wav"), found.clips[1].fields) == (True, {})


@pytest.mark.parametrize(
    ("sizes", "options", "expected"),
    [
        ([], {}, []),
        ([5, 5, 5], {"shard_bytes": None}, [(0, 3)]),
        ([5, 5, 5], {"shard_bytes": 5}, [(0, 1), (1, 2), (2, 3)]),
        ([5, 5, 5, 5], {"shard_bytes": 10}, [(0, 2), (2, 4)]),
        ([0, 0, 0], {"shard_bytes": 10}, [(0, 3)]),
        ([100, 1, 1], {"shard_bytes": 34}, [(0, 1), (1, 3)]),
        ([1] * 8, {"num_shards": 3}, [(0, 3), (3, 6), (6, 8)]),
        ([1] * 2, {"num_shards": 3}, [(0, 1), (1, 2)]),
    ],
)
def test_runs(sizes, options, expected):
    assert runs(sizes, SourceOptions(**options)) == expected


@pytest.mark.parametrize("seed", range(20))
def test_runs_are_the_whole_in_order_and_none_is_empty(seed):
    import numpy as np

    random = np.random.default_rng(seed)
    sizes = (random.pareto(1.0, random.integers(1, 200)) * 1000).astype(int).tolist()
    found = runs(sizes, SourceOptions(shard_bytes=5000))
    assert [first for first, _ in found] == [0, *(last for _, last in found[:-1])]
    assert found[-1][1] == len(sizes)
    assert all(first < last for first, last in found)
    assert all(sum(sizes[first:last]) <= 5000 or last - first == 1 for first, last in found)


NAMES = [
    "A B.WAV",
    "we[i]rd*?.wav",
    "two\nlines.wav",
    "sub dir/c.d.e.wav",
    "100%.wav",
    "q\"uote'.wav",
    "#1.wav",
    "-d.wav",
]


@pytest.mark.parametrize("folder", ["clips [v1]", "clips {a,b} {0..2}", "clips [v1] {a,b} 100%?*"])
@pytest.mark.parametrize("ending", ["", "/", "/**", "/**/*"])
def test_odd_names_in_a_folder_of_odd_name(tmp_path, monkeypatch, read, tone, folder, ending):
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        tone(f"{folder}/{name}")
    found = read(folder + ending)
    assert sorted(clip.id for clip in found.clips) == sorted(NAMES)
    assert [unit.path for unit in found.units] == [folder]


@pytest.mark.parametrize("name", ["LJ1.wav", "LJ1", "wavs/LJ1.wav", "./wavs/LJ1", "LJ1.flac"])
@pytest.mark.parametrize("pattern", ["lj", "lj/**", "lj/metadata.csv", "lj/wavs/*.wav"])
def test_ljspeechs_table_may_name_paths_and_endings(tmp_path, monkeypatch, read, tone, name, pattern):
    monkeypatch.chdir(tmp_path)
    tone("lj/wavs/LJ1.wav")
    Path("lj/metadata.csv").write_text(f"{name}|said\n")
    found = read(pattern)
    assert ([clip.fields for clip in found.clips], found.told) == ([{"text": b"said"}], [])


@pytest.mark.parametrize("here", [".", "lj"])
def test_ljspeechs_table_tells_folders_of_speakers_apart(tmp_path, monkeypatch, read, tone, here):
    tone("lj/wavs/anna/1.wav")
    tone("lj/wavs/bert/1.wav")
    Path(tmp_path, "lj/metadata.csv").write_text("wavs/anna/1|by anna\nbert/1.wav|by bert\n")
    monkeypatch.chdir(tmp_path / here)
    found = read("lj" if here == "." else "**")
    assert [(clip.id, clip.fields["text"]) for clip in found.clips] == [
        ("wavs/anna/1", b"by anna"),
        ("bert/1", b"by bert"),
    ]


def test_clips_of_one_name_that_share_a_transcript_are_told(tmp_path, monkeypatch, read, tone):
    monkeypatch.chdir(tmp_path)
    for name in ("anna/1", "anna/2", "bert/1"):
        tone(f"lj/{name}.wav")
    Path("lj/metadata.csv").write_text("1|one\n2|two\n")
    found = read("lj")
    assert [clip.fields["text"] for clip in found.clips] == [b"one", b"two", b"one"]
    assert found.told == [
        "1 clip has the transcript, and the id, of an earlier clip of the same name: lj/bert/1.wav; a path in the "
        "table, as bert/1, tells them apart"
    ]
    Path("lj/metadata.csv").write_text("anna/1|one\n2|two\nbert/1|other\n")
    assert read("lj").told == []


def test_clips_and_transcripts_that_lack_each_other_are_told(librispeech, read, tone):
    tone("libri/85/7/85-7-0001.flac")
    os.remove("libri/84/121/84-121-0001.flac")
    assert read("libri").told[:2] == [
        "1 of 3 clips have no transcript: libri/85/7/85-7-0001.flac",
        "1 transcript without a clip in the input: 84-121-0001 of libri/84/121/84-121.trans.txt",
    ]


def test_a_transcript_that_comes_again_is_told(librispeech, read):
    path = Path("libri/84/121/84-121.trans.txt")
    before = path.read_text().rstrip("\n")
    first = before.splitlines()[0]
    path.write_text(f"{before}\n{first}\n{first} again\n")  # once with the same words
    assert read("libri").told[0] == (
        "1 transcript of a clip that an earlier line has, which the later one replaces: "
        f"{first.split()[0]} of libri/84/121/84-121.trans.txt"
    )


def test_where_few_clips_are_asked_for_nothing_is_told_of_the_others(librispeech, read):
    assert read("libri", limit=1).told == ["left out: 1 .txt file: libri/README.TXT"]


def test_a_manifest_beside_clips_is_told(clips, read):
    Path("clips/durations.tsv").write_text("clip\tduration[ms]\na.wav\t500\n")
    Path("clips/train.tsv").write_text("client_id\tpath\tsentence\nx\ta.wav\thello\n")
    assert "--input=clips/train.tsv takes clips and texts" in read("clips").told[0]
    os.remove("clips/train.tsv")
    assert read("clips").told == ["left out: 1 .tsv file: clips/durations.tsv"]


@pytest.fixture
def own(tmp_path, monkeypatch, tone):
    """Clips with a text each, by their own names, in a folder and in one inside of it; one has none."""
    monkeypatch.chdir(tmp_path)
    for name in ("talks/a.wav", "talks/b.v2.flac", "talks/deep/c.mp3", "talks/deep/d.wav"):
        tone(name)
    texts = {
        "a.txt": "\ufeffsaid\r\n",
        "b.v2.txt": "two\nlines\n",
        "deep/c.txt": "caf\u00e9",
        "deep/notes.txt": "none",
    }
    for name, text in texts.items():
        Path("talks", name).write_bytes(text.encode())
    return {"a.wav": b"said", "b.v2.flac": b"two\nlines", "deep/c.mp3": "caf\u00e9".encode(), "deep/d.wav": None}


@pytest.mark.parametrize("pattern", ["talks", "talks/**", "talks/**/*.[wfm][alp]*"])
@pytest.mark.parametrize("options", [{}, {"shard_bytes": 1}, {"limit": 3}])
def test_texts_by_the_clips_own_names(own, read, pattern, options):
    found = read(pattern, **options)
    expected = dict(list(own.items())[: options.get("limit")])
    assert {clip.id: clip.fields.get("text") for clip in found.clips} == expected
    told = [] if "limit" in options else ["1 of 4 clips have no transcript: talks/deep/d.wav"]
    if "[" not in pattern:  # else it names audio alone
        told.append("left out: 1 .txt file: talks/deep/notes.txt")
    assert found.told == told
    renamed = read(pattern, columns={"said": "text"}, **options)
    assert {clip.id: clip.fields.get("said") for clip in renamed.clips} == expected


def test_libritts_has_two_texts_of_each_clip(tmp_path, monkeypatch, read, tone):
    monkeypatch.chdir(tmp_path)
    tone("84/121/84_121_1.wav")
    for kind, text in (("original", "In 1950"), ("normalized", "in nineteen fifty")):
        Path(f"84/121/84_121_1.{kind}.txt").write_text(text)
    Path("84/121/84_121.trans.tsv").write_text("84_121_1\tIn 1950\tin nineteen fifty\n")
    (clip,) = read("84").clips
    assert clip.fields == {"text": b"In 1950", "normalized_text": b"in nineteen fifty"}
    (clip,) = read("84", columns={"text": "normalized_text"}).clips
    assert clip.fields == {"text": b"in nineteen fifty"}


@pytest.mark.parametrize("case", [str.upper, str.lower])
@pytest.mark.parametrize("pattern", ["{}", "{}/**/*.[wW][aA][vV]"])
def test_timits_texts_are_without_their_numbers(tmp_path, monkeypatch, read, tone, case, pattern):
    monkeypatch.chdir(tmp_path)
    folder, clip = case("train/dr1"), case("train/dr1/fcjf0/sa1")
    tone(f"{clip}{case('.wav')}", format="NIST")
    Path(f"{clip}{case('.phn')}").write_text("0 3050 h#\n")
    Path(f"{clip}{case('.txt')}").write_text("0 8000 She had 2 suits.\n")
    found = read(pattern.format(folder))
    assert [clip.fields for clip in found.clips] == [
        {"text": b"She had 2 suits.", "speaker": case("fcjf0").encode()}
    ]
    assert not any("text" in line for line in found.told)
    with monkeypatch.context() as inside:
        inside.chdir(f"{folder}/{case('fcjf0')}")
        assert read(".").clips[0].fields["speaker"] == case("fcjf0").encode()
    Path(f"{clip}{case('.txt')}").write_text("1 2 3, a text as any other.\n")
    assert read(pattern.format(folder)).clips[0].fields == {"text": b"1 2 3, a text as any other."}


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        ("0.0\t1.5\tone\n1.5\t2.0\ttwo\n", True),
        ("0 8000 she\n", True),
        ("9 5 is no time\n", False),
        ("3 men", False),
    ],
)
def test_texts_with_times_in_them_are_told(tmp_path, monkeypatch, read, tone, text, is_told):
    monkeypatch.chdir(tmp_path)
    tone("talks/a.wav")
    Path("talks/a.txt").write_text(text)
    found = read("talks")
    assert found.clips[0].fields == {"text": text.strip("\n").encode()}
    assert ["begins with two numbers" in line for line in found.told] == [True] * is_told


@pytest.mark.parametrize("pattern", ["vctk", "vctk/wav48", "vctk/wav48/p225", "./vctk/*/**/*.flac"])
def test_vctks_texts_lie_in_a_folder_of_their_own(tmp_path, monkeypatch, read, tone, pattern):
    monkeypatch.chdir(tmp_path)
    for name in ("p225_001_mic1", "p225_001_mic2", "p225_002"):
        tone(f"vctk/wav48/p225/{name}.flac")
    for number in (1, 2, 3):
        Path("vctk/txt/p225").mkdir(parents=True, exist_ok=True)
        Path(f"vctk/txt/p225/p225_00{number}.txt").write_text(f"Please call {number}.\n")
    found = read(pattern)
    assert [clip.id.rpartition("/")[2] for clip in found.clips] == [
        "p225_001_mic1.flac",
        "p225_001_mic2.flac",
        "p225_002.flac",
    ]
    assert [clip.fields["text"] for clip in found.clips] == [b"Please call 1."] * 2 + [b"Please call 2."]
    assert {clip.fields["speaker"] for clip in found.clips} == {b"p225"}
    assert found.told == (["left out: 1 .txt file: vctk/txt/p225/p225_003.txt"] if pattern == "vctk" else [])


@pytest.mark.parametrize("pattern", [".", "./**", "**/*.flac"])
@pytest.mark.parametrize("here", ["vctk/wav48", "vctk/wav48/p225"])
def test_vctks_texts_are_found_from_inside(tmp_path, monkeypatch, read, tone, here, pattern):
    tone("vctk/wav48/p225/p225_001.flac")
    (tmp_path / "vctk/txt/p225").mkdir(parents=True)
    (tmp_path / "vctk/txt/p225/p225_001.txt").write_text("Please call.\n")
    monkeypatch.chdir(tmp_path / here)
    (clip,) = read(pattern).clips
    assert clip.fields == {"text": b"Please call.", "speaker": b"p225"}


@pytest.mark.parametrize(
    ("here", "pattern"),
    [
        *[(".", "aishell"), (".", "aishell/wav/train"), (".", "aishell/wav/train/S0002/*.wav")],
        *[
            ("aishell", "."),
            ("aishell/wav", "train"),
            ("aishell/wav/train", "."),
            ("aishell/wav/train/S0002", "*.wav"),
        ],
    ],
)
def test_aishells_table_is_one_for_all_splits(tmp_path, monkeypatch, read, tone, here, pattern):
    monkeypatch.chdir(tmp_path)
    texts = {"train/S0002/BAC009S0002W0122": "而 对", "dev/S0724/BAC009S0724W0121": "广州 市"}
    for clip in texts:
        tone(f"aishell/wav/{clip}.wav")
    Path("aishell/transcript").mkdir()
    lines = (f"{clip[-16:]} {text}\n" for clip, text in texts.items())
    Path("aishell/transcript/aishell_transcript_v0.8.txt").write_text("".join(lines))
    monkeypatch.chdir(here)
    found = {clip.id: clip.fields for clip in read(pattern).clips}
    expected = {
        clip[-16:]: {"text": text.encode(), "speaker": clip.split("/")[1].encode()}
        for clip, text in texts.items()
        if "aishell" in (here, pattern) or clip.startswith("train")
    }
    assert found == expected


def test_a_text_that_cannot_be_read_is_the_reject_of_its_clip(own, read, tmp_path):
    Path("talks/deep/c.txt").write_bytes(b"caf\xe9")
    found = read("talks")
    (damage,) = found.damages
    assert (damage.reject.reason, damage.reject.record_id) == ("bad_row", "deep/c.mp3")
    assert "c.txt is not utf-8" in damage.reject.detail
    Path("talks/deep/c.txt").write_bytes("caf\u00e9".encode())
    write(tmp_path / "rejects", [to_reject(damage.data, damage.reject, damage.place)])
    (clip,) = read(tmp_path / "rejects").clips
    assert (clip.id, clip.fields["text"]) == ("deep/c.mp3", "caf\u00e9".encode())
    Path("talks/a.txt").write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match=r"a\.txt is not utf-8.*--encoding_of_text"):
        read("talks")
    assert read("talks", encoding_of_text="latin-1").clips[0].fields["text"] == "caf\u00e9".encode()


def test_a_clip_whose_own_text_could_not_be_read_keeps_what_the_table_beside_it_says(own, read, tmp_path):
    Path("talks/deep/deep.trans.txt").write_text("c THE TABLE'S\nd ANOTHER\n")
    Path("talks/deep/c.txt").write_bytes(b"caf\xe9")
    (damage,) = read("talks").damages
    Path("talks/deep/c.txt").write_text("mended")
    expected = next(clip for clip in read("talks").clips if clip.fields["text"] == b"THE TABLE'S")
    write(tmp_path / "rejects", [to_reject(damage.data, damage.reject, damage.place)])
    (clip,) = read(tmp_path / "rejects").clips
    assert (clip.id, clip.fields, clip.audio) == (expected.id, expected.fields, expected.audio)


@pytest.mark.parametrize(("on_disk", "in_table"), [("NFD", "NFC"), ("NFC", "NFD")])
@pytest.mark.parametrize(("table", "row"), [("metadata.csv", "{}|x|x\n"), ("1-2.trans.txt", "{} x\n")])
def test_transcripts_are_found_however_accents_are_composed(tmp_path, read, tone, table, row, on_disk, in_table):
    name = normalize(in_table, "café")
    tone(f"in/{normalize(on_disk, 'café')}.wav")
    (tmp_path / "in" / table).write_text(row.format(name), encoding="utf-8")
    found = read(tmp_path / "in")
    assert [(clip.id, clip.fields["text"], found.told) for clip in found.clips] == [(name, b"x", [])]


@pytest.mark.parametrize("first", ["clips", "./clips", "clips/../clips/*.wav", "{}/clips"])
def test_a_file_that_is_named_in_two_spellings_is_read_once(tmp_path, monkeypatch, read, tone, first):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        tone(f"clips/{name}.wav")
    inputs = [
        first.format(tmp_path),
        "clips",
        "./clips/a.wav",
        f"{tmp_path}/clips/../clips",
        f"{tmp_path}/clips/b*",
    ]
    found = read(*inputs)
    assert [clip.audio for clip in found.clips] == [Path(f"clips/{name}.wav").read_bytes() for name in "ab"]
    assert [clip.id.rpartition("/")[2] for clip in found.clips] == ["a.wav", "b.wav"]


def test_brackets_that_name_files_in_two_ways_are_refused(read, tone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("a1", "a[1]"):
        (tmp_path / folder).mkdir()
        tone(f"{folder}/{folder[-1]}.wav")
    told = r"a1/1\.wav, where \[ \] is one of several characters, and a\[1\]/\]\.wav, where it is part of a name"
    with pytest.raises(ValueError, match=told):
        read("a[1]/*.wav")
    (clip,) = read("a[[]1]/*.wav").clips
    assert clip.id == "].wav"
    (clip,) = read("a1/*.wav").clips
    assert clip.id == "1.wav"


def test_a_table_with_a_header_that_names_files_is_a_manifest(tmp_path, monkeypatch, read, tone):
    """As Coqui's formatter wants it; its third column is no normalised form of a text."""
    monkeypatch.chdir(tmp_path)
    tone("tts/wavs/a.wav")
    Path("tts/metadata.csv").write_text("audio_file|text|speaker_name\nwavs/a.wav|hello|anna\n")
    for pattern in ("tts", "tts/metadata.csv"):
        (clip,) = read(pattern).clips
        assert (clip.id, clip.fields) == ("wavs/a.wav", {"text": b"hello", "speaker_name": b"anna"})


def test_speakers_in_the_place_of_texts_are_told(tmp_path, monkeypatch, read, tone):
    monkeypatch.chdir(tmp_path)
    names = [f"{k}" for k in range(10)]
    for name in names:
        tone(f"tts/{name}.wav", 0.1)
    Path("tts/metadata.csv").write_text("".join(f"{name}|speaker {int(name) % 2}|said {name}\n" for name in names))
    (told,) = read("tts").told
    assert told.startswith("tts/metadata.csv: the texts are few ('speaker 0'), and their normalised forms many")
    found = read("tts", columns={"text": "normalized_text", "speaker": "text"})
    assert found.told == []
    assert found.clips[3].fields == {"text": b"said 3", "speaker": b"speaker 1"}
    Path("tts/metadata.csv").write_text("".join(f"{name}|{int(name) % 2}|zero or one\n" for name in names))
    assert read("tts").told == []  # few texts, of which each has few forms
