"""Each format as its own library writes it (scripts/make_source_fixtures.py): the same clips, with their texts."""

import gzip
import json
from pathlib import Path

import pytest
import soundfile

from melbeam.pipelines.sources.planning import read_unit
from melbeam.transforms.records.decoding import decode_audio
from melbeam.transforms.records.examples import passed_through
from melbeam.transforms.records.tf_example import parse_features

TEXTS = {"morning": b"good morning", "river": b"the river", "weather": b"the weather"}


def by_id(clips):
    assert len({clip.id for clip in clips}) == len(clips)
    return {clip.id: clip for clip in clips}


def test_webdataset(fixtures, read):
    found = read("webdataset-{0000..0001}.tar")
    clips = by_id(found.clips)
    assert (list(clips), found.damages) == (["said/morning", "said/river", "said/weather"], [])
    for name, text in TEXTS.items():
        clip = clips[f"said/{name}"]
        assert (clip.audio, clip.fields["txt"]) == (fixtures[name], text)
        assert clip.fields["cls"] == (name == "weather")
        assert json.loads(clip.fields["json"]) == {"speaker": f"s{int(name == 'weather')}", "takes": 2}
    assert [clip.place for clip in found.clips] == [
        "webdataset-0000.tar#0",
        "webdataset-0000.tar#1",
        "webdataset-0001.tar#0",
    ]


def test_webdataset_under_our_names(fixtures, read):
    found = read("webdataset-*.tar", columns={"text": "txt", "speaker": "json.speaker"})
    assert [clip.fields["text"] for clip in found.clips] == list(TEXTS.values())
    assert [clip.fields["speaker"] for clip in found.clips] == [b"s0", b"s0", b"s1"]


def test_webdataset_compressed(fixtures, read):
    Path("w.tar.gz").write_bytes(gzip.compress(Path("webdataset-0000.tar").read_bytes()))
    assert read("w.tar.gz").clips[1].audio == fixtures["river"]


def test_nemos_tarred_set(fixtures, read):
    found = read("nemo/")
    assert [(clip.id, clip.fields["text"], clip.seconds) for clip in found.clips] == [
        ("morning", b"good morning", 0.5),
        ("river", b"the river", 0.5),
    ]
    assert found.told == []


def test_lhotse(fixtures, read):
    clips = by_id(read("cuts.jsonl.gz").clips)
    for name, text in TEXTS.items():
        whole = clips[name]
        assert (whole.audio, whole.fields) == (fixtures[name], {"text": text, "speaker": b"s1"})
        # The cut begins at a whole sample of its recording and lasts a quarter of a second.
        rate = soundfile.info(f"clips/{name}.{_ending(name)}").samplerate
        part, samples = (
            decode_audio(clip.audio, sampling_rate=rate).samples for clip in (clips[f"{name}-part"], whole)
        )
        assert abs(len(part) - rate / 4) <= 1
        first = round(0.125 * rate)
        assert (part == samples[first : first + len(part)]).all()
    assert list(clips)[-1].startswith("two_channels")
    one, both = list(clips.values())[-1].samples, soundfile.read("clips/two_channels.wav")[0]
    assert (one[:, 0] == both[:, 1]).all()


def _ending(name):
    return {"morning": "wav", "river": "flac", "weather": "mp3"}[name]


def test_lhotse_in_units_of_any_size(fixtures, read):
    assert read("cuts.jsonl.gz", shard_bytes=1).clips == read("cuts.jsonl.gz").clips
    assert len(read("cuts.jsonl.gz", shard_bytes=1).units) == 7


def cuts_with(changes):
    """The fixture's cuts, of which the first have these fields changed, as a file; and the cuts."""
    cuts = [json.loads(line) for line in gzip.decompress(Path("cuts.jsonl.gz").read_bytes()).splitlines()]
    for cut, change in zip(cuts, changes, strict=False):
        cut.update(change)
    Path("named.jsonl").write_text("".join(f"{json.dumps(cut)}\n" for cut in cuts))
    return cuts


def test_a_column_of_cuts_may_be_the_id(fixtures, read):
    cuts = cuts_with({"custom": {"key": name}} for name in ("seven", 7, 0, "", None))
    found = read("named.jsonl", columns={"id": "key"})
    assert [clip.id for clip in found.clips] == ["seven", "7", "0", *(cut["id"] for cut in cuts[3:])]
    assert found.told == []  # an id is no column, of which readers take one type


def test_a_cuts_own_fields_are_not_those_of_custom(fixtures, read):
    before = [(clip.id, clip.fields) for clip in read("cuts.jsonl.gz").clips]
    cuts_with([{"custom": {"id": "other", "text": "other", "speaker": "other"}}])
    assert [(clip.id, clip.fields) for clip in read("named.jsonl").clips] == before


def test_a_cuts_text_gives_way_also_where_the_other_is_not_there(fixtures, read):
    cuts_with([{"custom": {"said": "other"}}])
    found = read("named.jsonl", columns={"text": "said"})
    assert [clip.fields.get("text") for clip in found.clips[:2]] == [b"other", None]
    # The supervisions' times are of the text that was given up.
    assert [next(read_unit(unit)).segments != "" for unit in (found.units[0], read("named.jsonl").units[0])] == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"id": None}, "no cut: an object with an id"),
        ({"id": ""}, "no cut: an object with an id"),
        ({"start": -1.0}, "start must be seconds, 0 or more, got -1.0"),
        ({"duration": float("inf")}, "duration must be seconds, 0 or more, got inf"),
        ({"duration": 10**400}, "duration must be seconds, 0 or more, got 1000"),
        ({"duration": None}, "a cut without a duration"),
        ({"supervisions": ["x"]}, "'str' object has no attribute"),
    ],
)
def test_a_cut_that_is_none_is_its_own_reject(fixtures, read, change, told):
    cuts = cuts_with([{}, change])
    found = read("named.jsonl")
    assert [clip.id for clip in found.clips] == [cut["id"] for cut in cuts if cut is not cuts[1]]
    (damage,) = found.damages
    assert (damage.reject.reason, damage.reject.record_id) == ("bad_row", cuts[1]["id"] or None)
    assert damage.reject.detail.startswith(told)


def test_half_a_surrogate_pair_in_a_cuts_text_ends_no_job(fixtures, read):
    cuts = cuts_with([{}])
    cuts[0]["supervisions"][0]["text"] = "a \ud800 b"
    Path("named.jsonl").write_text("".join(f"{json.dumps(cut)}\n" for cut in cuts))
    (unit,) = read("named.jsonl").units
    record = next(read_unit(unit)).whole
    assert passed_through(record.data)["text"].bytes_list.value[0] == b"a ? b"
    assert json.loads(parse_features(record.data)["melbeam_segments"].bytes_list.value[0])[0][2] == "a ? b"


def test_a_cut_that_cannot_be_read_may_be_the_first(fixtures, read):
    """lhotse's own order is no reason to refuse the others."""
    mixed = {"id": "both", "type": "MixedCut", "tracks": []}
    names = [clip.id for clip in read("cuts.jsonl.gz").clips]
    cuts = gzip.decompress(Path("cuts.jsonl.gz").read_bytes())
    Path("named.jsonl").write_bytes(json.dumps(mixed).encode() + b"\n" + cuts)
    found = read("named.jsonl", input_format="lhotse")
    assert [clip.id for clip in found.clips] == names
    assert [(damage.reject.reason, damage.reject.record_id) for damage in found.damages] == [("bad_row", "both")]
    Path("named.jsonl").write_text(json.dumps(mixed))
    with pytest.raises(
        ValueError, match=r"named.jsonl holds no cuts that can be read: MixedCut: only cuts of one"
    ):
        read("named.jsonl", input_format="lhotse")


def test_cuts_of_shar_are_refused_with_where_their_samples_lie(fixtures, read):
    cuts = [json.loads(line) for line in gzip.decompress(Path("cuts.jsonl.gz").read_bytes()).splitlines()]
    for cut in cuts:
        cut["recording"]["sources"] = [{"type": "shar", "channels": [0], "source": ""}]
    Path("cuts.000000.jsonl").write_text("".join(f"{json.dumps(cut)}\n" for cut in cuts))
    with pytest.raises(ValueError, match=r"a tar file of lhotse's Shar: .*--input='recording.\*.tar'"):
        read("cuts.000000.jsonl")


def test_parquet_of_hugging_faces_datasets(fixtures, read):
    found = read("datasets.parquet")
    assert [clip.audio for clip in found.clips] == [fixtures[name] for name in TEXTS]
    assert [clip.fields for clip in found.clips] == [
        {"text": text, "takes": takes} for takes, text in enumerate(TEXTS.values(), 1)
    ]
    assert {clip.id for clip in found.clips} == {None}  # extract gives them their SHA-256
    parts = read("datasets.parquet", shard_bytes=5000)
    assert (len(parts.units), parts.clips) == (3, found.clips)


@pytest.mark.parametrize("pattern", ["tfds/", "tfds/*.tfrecord*"])
def test_tfds_stereo_is_not_read_as_mono_of_twice_the_length(fixtures, read, pattern):
    (clip,) = read(pattern).clips
    assert clip.fields == {"text": b"both", "who/age": 7, "sampling_rate": 16000}
    written, rate = soundfile.read("clips/two_channels.wav")
    assert (clip.samples.shape, rate) == ((4000, 2), 16000)
    assert (clip.samples == written).all()


def write_kaldi():
    Path("kaldi").mkdir()
    Path("kaldi/wav.scp").write_text("morning clips/morning.wav\n")


_PACKED = ("webdataset-*.tar", "tfds/")  # of these a member, or a feature, may be the audio


@pytest.mark.parametrize(
    ("pattern", "ours"),
    [(pattern, ours) for pattern in ("clips", "cuts.jsonl.gz", "kaldi") for ours in ("audio", "start", "end")]
    + [(pattern, ours) for pattern in _PACKED for ours in ("start", "end")],
)
def test_what_no_column_of_a_source_says_is_refused(fixtures, read, pattern, ours):
    write_kaldi()
    with pytest.raises(ValueError, match=f"--columns={ours}=text: .* choose another name, my_{ours}"):
        read(pattern, columns={ours: "text"})


@pytest.mark.parametrize("pattern", ["clips", "cuts.jsonl.gz", "kaldi", "datasets.parquet", *_PACKED])
def test_no_column_gets_a_name_that_melbeam_writes_itself(fixtures, read, pattern):
    write_kaldi()
    with pytest.raises(
        ValueError, match="--columns=num_frames=text gives a column a name that melbeam writes itself"
    ):
        read(pattern, columns={"num_frames": "text"})
