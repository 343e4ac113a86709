"""Kaldi's data folders."""

from pathlib import Path
from unicodedata import normalize

import pytest
import soundfile


@pytest.fixture
def folder(tmp_path, monkeypatch, tone):
    monkeypatch.chdir(tmp_path)
    tone("wav/one.wav", 2.0)
    tone("wav/two.flac", 2.0)
    Path("data").mkdir()
    Path("data/wav.scp").write_text("rec1 wav/one.wav\nrec2 wav/two.flac\n")
    Path("data/text").write_text("rec1 first  words\nrec2 others\n")
    Path("data/utt2spk").write_text("rec1 anna\nrec2 bert\n")
    return tmp_path


@pytest.mark.parametrize("pattern", ["data", "data/", "data/wav.scp"])
@pytest.mark.parametrize("shard_bytes", [1, 1 << 28])
def test_whole_recordings(folder, read, pattern, shard_bytes):
    found = read(pattern, shard_bytes=shard_bytes)
    assert [(clip.id, clip.fields) for clip in found.clips] == [
        ("rec1", {"text": b"first  words", "speaker": b"anna"}),
        ("rec2", {"text": b"others", "speaker": b"bert"}),
    ]
    assert found.clips[1].audio == Path("wav/two.flac").read_bytes()


def segments(text):
    Path("data/segments").write_text(text)
    names = [line.split()[0] for line in text.splitlines()]
    # As Kaldi itself never writes them: the tables' own order must not matter.
    Path("data/text").write_text("".join(f"{name} said by {name}\n" for name in reversed(names)))
    Path("data/utt2spk").write_text("".join(f"{name} s-{name}\n" for name in names[::2]))


@pytest.mark.parametrize("shard_bytes", [1, 40_000, 1 << 28])
def test_segments(folder, read, shard_bytes):
    segments("u1 rec1 0 0.5\nu2 rec2 0.25 0.75\nu3 rec1 1.5 2\nu4 rec2 1.0 1.25\n")
    found = read("data", shard_bytes=shard_bytes)
    assert [clip.id for clip in found.clips] == ["u1", "u2", "u3", "u4"]
    assert [clip.fields["text"] for clip in found.clips] == [b"said by u%d" % k for k in (1, 2, 3, 4)]
    assert [clip.fields.get("speaker") for clip in found.clips] == [b"s-u1", None, b"s-u3", None]
    for clip, (name, first, last) in zip(
        found.clips,
        [("one.wav", 0, 8000), ("two.flac", 4000, 12000), ("one.wav", 24000, 32000), ("two.flac", 16000, 20000)],
        strict=True,
    ):
        assert (clip.samples[:, 0] == soundfile.read(f"wav/{name}")[0][first:last]).all()


def test_what_is_wrong_with_a_segment_is_its_reject(folder, read):
    segments("u1 rec1 0 0.5\nu2 rec9 0 1\nu3 rec1 x 1\nu4 rec1 1 1\nu5 rec1 1 9\nu6 rec1\n")
    found = read("data")
    assert [clip.id for clip in found.clips] == ["u1"]
    assert [(damage.place, damage.reject.reason) for damage in found.damages] == [
        (f"data#{number}", "bad_row") for number in range(1, 6)
    ]


def test_a_command_is_refused_and_never_run(folder, read):
    Path("data/wav.scp").write_text("rec1 touch ran; cat wav/one.wav |\n")
    with pytest.raises(ValueError, match="recording rec1 is the output of a command, which melbeam does not run"):
        read("data")
    assert not Path("ran").exists()


def test_a_corpus_that_was_moved_as_a_whole(folder, read, tmp_path, monkeypatch):
    Path("data/wav").mkdir()
    Path("wav/one.wav").rename("data/wav/one.wav")
    Path("wav/two.flac").rename("data/wav/two.flac")
    assert len(read("data").clips) == 2


def test_columns(folder, read):
    assert read("data", columns={"who": "utt2spk"}).clips[0].fields == {"text": b"first  words", "who": b"anna"}
    with pytest.raises(ValueError, match="--columns names 'age'; a Kaldi folder, data, has text, speaker"):
        read("data", columns={"who": "age"})
    assert read("data").units[0].details["columns"] == {"text": "text", "speaker": "utt2spk"}
    with pytest.raises(ValueError, match="--columns names 'utt2lang'; there is no utt2lang in data"):
        read("data", columns={"accent": "utt2lang"})


def test_a_folder_without_recordings_is_refused(folder, read):
    Path("data/wav.scp").unlink()
    for pattern in ("data", "data/text"):
        with pytest.raises(ValueError, match=r"names no wav\.scp, where Kaldi's recordings are"):
            read(pattern, input_format="kaldi")


@pytest.mark.parametrize("patterns", [["data/dev_wav.scp"], ["data/wav.scp", "data/dev_wav.scp"]])
def test_recordings_of_another_tables_name_are_never_those_of_wav_scp(folder, read, patterns):
    Path("data/dev_wav.scp").write_text("rec2 wav/two.flac\n")
    with pytest.raises(ValueError, match=r"--input=data/dev_wav\.scp names no wav\.scp, where Kaldi's recordings"):
        read(*patterns, input_format="kaldi")


def test_a_segments_end_and_channel_as_kaldi_has_them(folder, read, tone, tmp_path):
    two = tone("two.wav", channels=2)
    (folder / "wav.scp").write_text(f"r {tmp_path}/two.wav\n")
    (folder / "segments").write_text("a r 0.25 -1\nb r 0 0.25 1\nc r 0 0.25 left\n")
    found = read(folder)
    first, second = (clip.samples for clip in found.clips)
    assert (first * 2**15 == two[4000:]).all()
    assert (second * 2**15 == two[:4000, 1:]).all()
    assert [damage.reject.record_id for damage in found.damages] == ["c"]


def test_a_recording_in_an_archive_is_refused_by_name(folder, read):
    (folder / "wav.scp").write_text("r data/raw.ark:1234\n")
    with pytest.raises(ValueError, match=r"recording r lies in an archive of Kaldi's.*raw\.ark:1234"):
        read(folder)


def test_a_text_keeps_its_tabs_and_spaces(folder, read):
    Path("data/text").write_text("rec1\tone\ttwo  three \t\nrec2 \u3000four\u00a0\n", encoding="utf-8")
    assert [clip.fields["text"] for clip in read("data").clips] == [
        b"one\ttwo  three",
        "\u3000four\u00a0".encode(),
    ]


def test_paths_of_a_recipe_are_found_from_wherever_it_is_called(folder, read, tmp_path, monkeypatch):
    Path("egs/data/train").mkdir(parents=True)
    Path("data").rename("egs/data/train/kaldi")
    Path("wav").rename("egs/wav")
    for here, pattern in ((".", "egs/data/train/kaldi"), ("egs", "data/train/kaldi"), ("egs/data", "train/kaldi")):
        monkeypatch.chdir(tmp_path / here)
        found = read(pattern) if here != "egs/data" else read(tmp_path / "egs/data/train/kaldi")
        assert ([clip.id for clip in found.clips], found.damages) == (["rec1", "rec2"], [])


def test_other_tables_are_taken_or_told(folder, read):
    Path("data/utt2lang").write_text("rec1 en\nrec2 de\n")
    for name in ("spk2utt", "spk2gender", "utt2dur"):
        Path("data", name).write_text("x y\n")
    found = read("data")
    assert [clip.fields["language"] for clip in found.clips] == [b"en", b"de"]
    (line,) = found.told
    assert line.endswith("2 files without an ending: data/spk2gender, data/utt2dur")


def test_an_utterance_that_comes_again_is_told(folder, read):
    Path("data/wav.scp").write_text("rec1 wav/one.wav\nrec2 wav/two.flac\nrec2 wav/one.wav\n")
    assert [line for line in read("data").told if "an earlier row has (rec2)" in line]


def test_the_folder_of_relative_paths_is_found_however_accents_are_composed(folder, read, tone, monkeypatch):
    tone(f"wav/{normalize('NFD', 'é.wav')}")
    Path("data/wav.scp").write_text(f"rec1 wav/{normalize('NFC', 'é.wav')}\n", encoding="utf-8")
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert [clip.id for clip in read("../data").clips] == ["rec1"]
    assert [clip.id for clip in read(folder / "data").clips] == ["rec1"]


@pytest.mark.parametrize("shard_bytes", [1, 1 << 28])
def test_an_utterance_that_is_given_twice_has_its_columns_in_each_unit(folder, read, shard_bytes):
    Path("data/wav.scp").write_text("rec1 wav/one.wav\nrec2 wav/two.flac\nrec1 wav/one.wav\n")
    first, _, again = read("data", shard_bytes=shard_bytes).clips
    assert (
        (first.id, first.fields)
        == (again.id, again.fields)
        == ("rec1", {"text": b"first  words", "speaker": b"anna"})
    )
    segments("u1 rec1 0 0.5\nu2 rec2 0.25 0.75\nu1 rec2 1.5 2\n")
    found = read("data", shard_bytes=shard_bytes)
    assert ([clip.id for clip in found.clips], found.damages) == (["u1", "u2", "u1"], [])


def test_a_table_may_be_the_id(folder, read):
    Path("data/utt2spk").write_text("rec1 anna\n")
    found = read("data", columns={"id": "utt2spk"})
    assert [(clip.id, sorted(clip.fields)) for clip in found.clips] == [("anna", ["text"]), ("rec2", ["text"])]


def test_a_table_may_be_several_of_ours(folder, read):
    Path("data/utt2spk").write_text("rec1 anna\nrec2 anna\n")
    found = read("data", columns={"id": "speaker", "speaker": "speaker", "by": "utt2spk"})
    assert [(clip.id, clip.fields["speaker"], clip.fields["by"]) for clip in found.clips] == [
        ("anna", b"anna", b"anna"),
        ("anna", b"anna", b"anna"),
    ]
    assert len(found.told) == 1
    assert "1 row has an id that an earlier row has (anna)" in found.told[0]


def test_a_name_that_a_table_has_again_is_told(folder, read):
    """Kaldi refuses such tables; the last line counts, as in those that say the same again."""
    segments("u1 rec1 0 0.5\nu2 rec1 0.5 1\n")
    Path("data/text").write_text("u1 one\nu2 two\nu1 other\nu2 two\n")
    with open("data/wav.scp", "a") as file:
        file.write("rec1 wav/two.flac\n")
    found = read("data")
    again = "1 line of a name that an earlier line has, which the later one replaces"
    assert found.told[:2] == [f"data/text: {again}: u1", f"data/wav.scp: {again}: rec1"]
    assert [clip.fields["text"] for clip in found.clips] == [b"other", b"two"]


def test_a_text_without_audio_and_a_recording_without_segments_are_told(folder, read):
    segments("u1 rec1 0 0.5\n")
    with open("data/text", "a") as file:
        file.write("u8 lost\nu9 lost\n")
    assert read("data").told == [
        "data/text: 2 lines of an utterance that has no audio here: u8, u9",
        "data/wav.scp: 1 line of a recording that no segment is of: rec2",
    ]
