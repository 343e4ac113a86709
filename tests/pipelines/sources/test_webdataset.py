"""Tar files that were packed in other ways than the fixtures, and what is wrong with some."""

import gzip
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import soundfile

from helpers import encode, write
from melbeam.pipelines.sources.planning import check_first_record, plan_units
from melbeam.pipelines.sources.units import SourceOptions
from melbeam.transforms.records.examples import to_reject


@pytest.fixture
def pack(tmp_path, monkeypatch):
    """Writes a tar file of names and contents; None is a link to the first of them."""
    monkeypatch.chdir(tmp_path)

    def write_tar(name, members, mode="w"):
        with tarfile.open(name, mode) as tar:
            for member, content in members.items():
                info = tarfile.TarInfo(member)
                if content is None:
                    info.type, info.linkname = tarfile.LNKTYPE, next(iter(members))
                else:
                    info.size = len(content)
                tar.addfile(info, io.BytesIO(content or b""))
        return name

    return write_tar


@pytest.fixture
def wav(tone, tmp_path):
    tone("clip.wav")
    return (tmp_path / "clip.wav").read_bytes()


def test_names_with_dots_and_endings_in_capitals(pack, read, wav):
    members = {
        "x/y.z/c.16k.wav": wav,
        "x/y.z/c.lang.txt": b"en",
        "./UP.WAV": wav,
        "./UP.TXT": b"u",
        "README": b"-",
    }
    found = read(pack("T.TAR", members))
    assert [(clip.id, clip.fields) for clip in found.clips] == [
        ("x/y.z/c", {"lang.txt": b"en"}),
        ("./UP", {"txt": b"u"}),
    ]
    assert read("T.TAR", columns={"audio": "16k.WAV", "text": "lang.txt"}).clips[0].fields == {"text": b"en"}


def test_of_several_members_that_are_audio_none_is_taken_in_silence(pack, read, wav):
    """The key of `s.001.wav` is `s`: what were two clips to whoever packed them is one sample to WebDataset."""
    found = read(
        pack("t.tar", {"s.001.wav": wav, "s.001.txt": b"1", "s.002.wav": wav, "b.wav": wav, "b.raw.wav": wav})
    )
    assert [(clip.id, clip.audio) for clip in found.clips] == [("b", wav)]
    (damage,) = found.damages
    assert (damage.reject.reason, damage.reject.record_id) == ("bad_row", "s")
    assert "001.wav, 002.wav" in damage.reject.detail
    assert [clip.id for clip in read("t.tar", columns={"audio": "001.wav"}).clips] == ["s"]


def test_a_link_is_a_reject(pack, read, wav):
    found = read(pack("t.tar", {"a.wav": wav, "b.wav": None}))
    assert ([clip.id for clip in found.clips], found.damages[0].reject.reason) == (["a"], "bad_row")
    assert "b.wav is a link to a.wav" in found.damages[0].reject.detail


@pytest.mark.skipif(shutil.which("tar") is None, reason="no tar to write sparse members")
@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_a_member_with_holes_is_whole(read, wav, tmp_path, monkeypatch, form):
    """`tar --sparse` leaves out the zeros of a clip that begins with silence."""
    monkeypatch.chdir(tmp_path)
    size = 1 << 20
    with open("a.pcm.wav", "wb") as file:
        file.seek(size)  # a hole, where the file system has them
        file.write(wav)
    Path("b.wav").write_bytes(wav)
    subprocess.run(["tar", "--sparse", f"--format={form}", "-cf", "t.tar", "a.pcm.wav", "b.wav"], check=True)
    if Path("t.tar").stat().st_size > size:
        pytest.skip("this file system or tar writes no holes")
    found = read("t.tar", columns={"audio": "pcm.wav"}), read("t.tar")
    assert [(clip.id, clip.audio) for clip in found[0].clips] == [("a", bytes(size) + wav)]
    assert [(clip.id, clip.audio) for clip in found[1].clips] == [("a", bytes(size) + wav), ("b", wav)]


def retried(read, damages, name):
    """The rejects of some damages, read again as `melbeam retry-rejects` does."""
    write(name, [to_reject(damage.data, damage.reject, damage.place) for damage in damages])
    return read(name)


def samples_of(names, wav):
    return {f"{name}.{ending}": data for name in names for ending, data in (("wav", wav), ("txt", name.encode()))}


@pytest.mark.parametrize("is_compressed", [False, True])
@pytest.mark.parametrize("keep", [0.35, 0.5, 0.7])
def test_what_a_cut_tar_lacks_is_read_again_once_it_is_whole(pack, read, wav, is_compressed, keep):
    name = pack(
        "t.tar.gz" if is_compressed else "t.tar", samples_of("abcd", wav), "w:gz" if is_compressed else "w"
    )
    whole = Path(name).read_bytes()
    complete = read(name).clips
    Path(name).write_bytes(whole[: int(keep * len(whole))])
    cut = read(name)
    assert cut.damages
    assert cut.clips == complete[: len(cut.clips)]
    again = retried(read, cut.damages, "before.tfrecord")
    assert again.damages
    assert {damage.reject.reason for damage in again.damages} <= {"bad_row", "bad_framing"}
    Path(name).write_bytes(whole)
    mended = retried(read, cut.damages, "after.tfrecord")
    assert mended.damages == []
    found = [clip._replace(place="") for clip in [*cut.clips, *mended.clips]]
    assert found == [clip._replace(place="") for clip in complete]


def test_what_stands_in_place_of_members_is_read_again_once_it_is_whole(pack, read, wav):
    whole = Path(pack("t.tar", samples_of("abcd", wav))).read_bytes()
    complete = {clip.id: clip._replace(place="") for clip in read("t.tar").clips}
    size = len(whole) - len(whole) % 512
    second = whole.index(b"b.wav")
    damaged = bytearray(whole)
    damaged[second : second + 400] = b"\xff" * 400  # the header of b.wav, and so all of it
    Path("t.tar").write_bytes(damaged)
    broken = read("t.tar")
    assert [clip.id for clip in broken.clips] == ["a", "c", "d"]
    assert [damage.reject.reason for damage in broken.damages] == ["bad_framing", "no_audio"]
    assert 0 < broken.damages[0].damaged_bytes < size
    before = retried(read, broken.damages, "before.tfrecord")
    assert (before.clips, len(before.damages)) == ([], 2)
    Path("t.tar").write_bytes(whole)
    after = retried(read, broken.damages[:1], "after.tfrecord")
    assert [clip._replace(place="") for clip in after.clips] == [complete["b"]]


def test_a_tar_that_is_gone_stays_a_reject(pack, read, wav):
    whole = Path(pack("t.tar", samples_of("ab", wav))).read_bytes()
    Path("t.tar").write_bytes(whole[: len(whole) // 2])
    damages = read("t.tar").damages
    Path("t.tar").unlink()
    again = retried(read, damages, "r.tfrecord").damages
    assert len(again) == len(damages)
    assert "copy t.tar again from its source" in again[0].reject.detail


def nemo(pack, rows, members, shard=3):
    Path("set").mkdir(exist_ok=True)
    lines = "".join(json.dumps({"shard_id": shard, **row}) + "\n" for row in rows)
    Path("set/tarred_audio_manifest.json").write_text(lines)
    return pack(f"set/audio_{shard}.tar", members)


def test_nemos_segments_of_one_member(pack, read, tone, tmp_path):
    """NeMo keeps a recording once, calls its further rows `-subN`, and cuts them as it reads."""
    samples = tone("long.flac", 1.0)[:, 0]
    flac = (tmp_path / "long.flac").read_bytes()
    rows = [
        {"audio_filepath": "long.flac", "offset": 0.0, "duration": 0.25, "text": "one"},
        {"audio_filepath": "long-sub1.flac", "offset": 0.25, "duration": 0.5, "text": "two"},
        {"audio_filepath": "whole.flac", "offset": 0, "duration": 1.0, "text": "all"},
        {"audio_filepath": "said.flac", "duration": 0.9, "text": "compared"},
        {"audio_filepath": "long-sub2.flac", "offset": 0.9, "duration": 0.5, "text": "beyond"},
        {"audio_filepath": "gone.flac", "duration": 1.0, "text": "gone"},
        {"audio_filepath": "other.flac", "duration": 1.0, "text": "of another file", "shard_id": 4},
    ]
    nemo(pack, rows, {"long.flac": flac, "whole.flac": flac, "said.flac": flac, "unknown.flac": flac})
    found = read("set")
    clips = {clip.id: clip for clip in found.clips}
    assert {name: clip.fields["text"] for name, clip in clips.items()} == {
        "long": b"one",
        "long-sub1": b"two",
        "whole": b"all",
        "said": b"compared",
    }
    for name, first, last in (("long", 0, 4000), ("long-sub1", 4000, 12000)):
        assert (soundfile.read(io.BytesIO(clips[name].audio), dtype="int16")[0] == samples[first:last]).all()
    assert clips["whole"].audio == clips["said"].audio == flac
    assert (clips["said"].seconds, clips["long"].seconds) == (0.9, None)
    assert [(damage.reject.record_id, damage.reject.reason) for damage in found.damages] == [
        ("long-sub2", "bad_row"),
        ("unknown", "bad_row"),
        ("gone", "not_found"),
    ]
    nemo(pack, rows, {"long.flac": flac, "gone.flac": flac})
    again = retried(read, found.damages[2:], "r.tfrecord")
    assert [(clip.id, clip.audio, clip.fields["text"]) for clip in again.clips] == [("gone", flac, b"gone")]


def test_the_row_of_a_missing_member_is_retried_alone(pack, read, wav):
    """Other samples' faults are rejects of their own, and would take its place."""
    rows = [{"audio_filepath": f"{name}.wav", "text": name} for name in ("a", "gone", "gone-sub1", "far")]
    members = {"stranger.wav": wav, "a.wav": wav, "none.txt": b"no audio"}
    nemo(pack, rows, members)
    found = read("set")
    names = ["stranger", "none", "gone", "gone-sub1", "far"]
    assert [damage.reject.record_id for damage in found.damages] == names
    again = retried(read, found.damages, "r.tfrecord")
    assert [damage.reject.record_id for damage in again.damages][:2] == names[:2]
    assert ["no sample begins there" in damage.reject.detail for damage in again.damages[2:]] == [True] * 3
    nemo(pack, rows, {"stranger.wav": wav, "below/gone.wav": wav, "far.wav": wav})
    mended = retried(read, found.damages[2:], "s.tfrecord")
    assert ([clip.id for clip in mended.clips], mended.damages) == (names[2:], [])


def test_a_gzip_whose_end_is_damaged_gives_what_lies_before(pack, read, wav):
    data = bytearray(gzip.compress(Path(pack("t.tar", samples_of("abc", wav))).read_bytes()))
    data[len(data) // 2] ^= 0xFF
    Path("t.tar.gz").write_bytes(data)
    found = read("t.tar.gz")
    assert [clip.audio for clip in found.clips] == [encode_again(clip.audio) for clip in found.clips]
    assert found.damages


def encode_again(data):
    return encode(soundfile.read(io.BytesIO(data), dtype="int16")[0])


def test_the_end_of_a_file_of_text_is_none_of_its_text(pack, read, wav):
    pack("s.tar", {"a.wav": wav, "a.txt": b"one\ntwo\r\n", "b.wav": wav, "b.txt": b"three"})
    assert [clip.fields for clip in read("s.tar", columns={"text": "txt"}).clips] == [
        {"text": b"one\ntwo"},
        {"text": b"three"},
    ]
    assert read("s.tar").clips[0].fields == {"txt": b"one\ntwo\r\n"}


def test_fields_inside_of_the_member_json(pack, read, wav):
    pack("s.tar", {"a.wav": wav, "a.json": b'{"said": {"text": "x"}, "by.whom": "anna"}'})
    (clip,) = read("s.tar", columns={"text": "json.said.text", "speaker": "json.by.whom"}).clips
    assert (clip.fields["text"], clip.fields["speaker"]) == (b"x", b"anna")


def test_a_column_of_several_types_in_nemos_manifest_becomes_one(pack, read, wav):
    rows = [{"audio_filepath": f"{name}.wav", "shard_id": 3, "n": n} for name, n in (("a", 1), ("b", 0.5))]
    nemo(pack, rows, {"a.wav": wav, "b.wav": wav})
    assert [clip.fields["n"] for clip in read("set").clips] == [1.0, 0.5]


def test_a_text_that_is_not_utf_8_is_the_reject_of_its_sample(pack, read, wav):
    members = {"a.wav": wav, "a.txt": "für".encode("latin-1"), "b.wav": wav, "b.txt": "für".encode()}
    found = read(pack("t.tar", members), columns={"text": "txt"})
    assert [(clip.id, clip.fields["text"]) for clip in found.clips] == [("b", "für".encode())]
    (damage,) = found.damages
    assert (damage.reject.reason, damage.reject.record_id) == ("bad_row", "a")
    assert "the member txt is not UTF-8" in damage.reject.detail


def test_an_id_in_a_member_has_no_line_feed_and_is_not_empty(pack, read, wav):
    members = {
        "a.wav": wav,
        "a.txt": b"one\r\n",
        "b.wav": wav,
        "b.txt": b"\n",
        "c.wav": wav,
        "c.json": b'{"id": 0}',
    }
    pack("s.tar", members)
    assert [clip.id for clip in read("s.tar", columns={"id": "txt"}).clips] == ["one", "b", "c"]
    pack("t.tar", {"a.wav": wav, "a.json": b'{"id": ""}', "c.wav": wav, "c.json": b'{"id": 0}'})
    assert [clip.id for clip in read("t.tar", columns={"id": "json.id"}).clips] == ["a", "0"]


def test_a_name_that_only_a_later_tar_has_is_found(pack, wav):
    pack("t-0.tar", {"a.wav": wav})
    pack("t-1.tar", {"b.wav": wav, "b.txt": b"two"})
    check_first_record(plan_units(["t-*.tar"], SourceOptions(columns={"text": "txt"})).units)
    lacking = plan_units(["t-*.tar"], SourceOptions(columns={"text": "lab"})).units
    with pytest.raises(ValueError, match=r"none of the first 2 records, from t-0.tar on, has 'lab'"):
        check_first_record(lacking)


def test_a_recording_may_be_called_as_nemo_calls_further_rows(pack, read, tone, tmp_path):
    """Rows of `x-sub1.wav` are of `x.wav`, as NeMo writes them, unless there is a member of that name."""
    members = {}
    for name, seconds in (("x", 0.2), ("x-sub1", 0.3), ("speech-sub2", 0.4), ("twice", 0.5), ("y-sub01", 0.6)):
        tone(f"{name}.wav", seconds)
        members[f"{name}.wav"] = (tmp_path / f"{name}.wav").read_bytes()
    names = [name.removesuffix(".wav") for name in (*members, "twice-sub1.wav")]
    nemo(pack, [{"audio_filepath": f"{name}.wav", "shard_id": 3, "text": name} for name in names], members)
    found = read("set")
    assert found.damages == []
    assert {clip.id: clip.audio for clip in found.clips} == {
        **{name.removesuffix(".wav"): audio for name, audio in members.items()},
        "twice-sub1": members["twice.wav"],
    }


@pytest.mark.parametrize("pattern", ["set", "set/*.tar", "set/audio__OP_2..3_CL_.tar"])
def test_nemos_manifests_of_one_tar_each(pack, read, wav, pattern):
    Path("set/sharded_manifests").mkdir(parents=True)
    for shard in (2, 3):
        pack(f"set/audio_{shard}.tar", {f"{shard}.wav": wav})
        row = {"audio_filepath": f"{shard}.wav", "shard_id": shard, "text": f"said in {shard}"}
        Path(f"set/sharded_manifests/manifest_{shard}.json").write_text(json.dumps(row))
    found = read(pattern)
    assert [(clip.id, clip.fields["text"]) for clip in found.clips] == [("2", b"said in 2"), ("3", b"said in 3")]
    assert (found.damages, found.told) == ([], [])


def test_audio_whose_name_has_no_ending_is_a_reject(pack, read, wav):
    found = read(pack("t.tar", {"a": wav, "a.txt": b"of a", "README": b"nothing of it", "b.wav": wav}))
    assert [clip.id for clip in found.clips] == ["b"]
    (damage,) = found.damages
    assert (damage.reject.reason, damage.reject.record_id) == ("bad_row", "a")
    assert damage.reject.detail.startswith("a is audio, and its name has no ending")
