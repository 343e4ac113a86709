"""`extract` of one channel, of each channel, and of chunks: each record is that of the samples by themselves."""

import json

import numpy as np
import pytest

from helpers import RATE, encode, run, write
from melbeam.pipelines import extract, ingest, rejects, verify
from melbeam.transforms import FeatureSource, audio_example, read_features

SECONDS = 7
RNG = np.random.default_rng(0)
# The values are such as 16 bits hold, so that files and lists of integers have the same.
STEREO = np.rint(32768 * 0.1 * RNG.standard_normal((RATE * SECONDS, 2)) * [1, 0.1]) / 32768


def records_of(folder, split="train"):
    return {record["id"].decode(): record for record in FeatureSource(folder, split)}


def extracted(source, output, *arguments):
    return run(extract, f"--input={source}", f"--output={output}", "--max_reject_fraction=1", *arguments)


def check_verifies(folder):
    checked = run(verify, folder)
    assert (checked.status, "no faults" in checked.text) == (0, True), checked.text


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A stereo WAV with a text, a mono one, and a stereo FLAC of another rate."""
    folder = tmp_path_factory.mktemp("source")
    records = [
        audio_example(encode(STEREO), id="stereo", text="both of them"),
        audio_example(encode(STEREO[:, 0]), id="mono"),
        audio_example(encode(STEREO, 32000, "FLAC"), id="fast"),
    ]
    write(folder / "in-0", records)
    return folder / "in-*"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The features of each channel as a clip of its own."""
    folder = tmp_path_factory.mktemp("alone")
    records = [
        audio_example(encode(STEREO[:, channel], rate, kind), id=f"{name}@{channel}")
        for name, rate, kind in (("stereo", RATE, "WAV"), ("fast", 32000, "FLAC"))
        for channel in (0, 1)
    ]
    write(folder / "in-0", records)
    assert extracted(folder / "in-*", folder / "out").status == 0
    return records_of(folder / "out")


def same(one, other):
    np.testing.assert_array_equal(one["input_features"], other["input_features"])
    assert [one[name] for name in ("num_samples", "rms_dbfs")] == [
        other[name] for name in ("num_samples", "rms_dbfs")
    ]


class TestChannels:
    def test_one_channel_is_that_channel_by_itself_and_a_clip_without_it_is_a_reject(
        self, source, alone, tmp_path
    ):
        ended = extracted(source, tmp_path, "--channel=1")
        assert (ended.status, "rejected: 1 no_channel: mono" in ended.text) == (0, True), ended.text
        assert "mixed_down" not in ended.text
        found = records_of(tmp_path)
        assert sorted(found) == ["fast", "stereo"]
        for name, record in found.items():
            same(record, alone[f"{name}@1"])
        listed = run(rejects, tmp_path, "--json")
        (reject,) = json.loads(listed.text)
        assert reject["detail"] == "channel 1 is asked for, and the clip has one channel, 0"
        assert "--channel=mean" in reject["advice"]
        check_verifies(tmp_path)

    def test_split_makes_a_record_of_each_channel(self, source, alone, tmp_path):
        ended = extracted(source, tmp_path, "--channels=split")
        assert "3 records read = 3 converted + 0 rejected\n  5 feature records" in ended.text
        found = records_of(tmp_path)
        assert list(found) == ["stereo@0", "stereo@1", "mono@0", "fast@0", "fast@1"]
        for name, record in alone.items():
            same(found[name], record)
        assert [found[f"stereo@{channel}"]["text"] for channel in (0, 1)] == [b"both of them"] * 2
        check_verifies(tmp_path)

    @pytest.mark.slow
    def test_another_channel_is_another_job(self, source, tmp_path):
        assert extracted(source, tmp_path, "--channel=0").status == 0
        refused = extracted(source, tmp_path, "--channel=1")
        assert (refused.status, "channel was 0 and is now 1" in refused.text) == (2, True), refused.text
        assert "all were done by an earlier start" in extracted(source, tmp_path, "--channel=0").text

    @pytest.mark.slow
    def test_tfds_lists_of_two_channels(self, alone, tmp_path):
        """TFDS stores the values of all channels in one list, one frame behind the other."""
        flat = np.rint(STEREO * 32768).astype(np.int64).ravel()
        write(
            tmp_path / "in/x-train.tfrecord-00000-of-00001", [audio_example(flat, sampling_rate=RATE, id="stereo")]
        )
        feature = {
            "pythonClassName": "tensorflow_datasets.core.features.audio_feature.Audio",
            "audio": {"shape": {"dimensions": ["-1", "2"]}, "dtype": "int64", "sampleRate": RATE},
        }
        text = {"pythonClassName": "tensorflow_datasets.core.features.text_feature.Text", "text": {}}
        features = {
            "pythonClassName": "tensorflow_datasets.core.features.features_dict.FeaturesDict",
            "featuresDict": {"features": {"audio": feature, "id": text}},
        }
        (tmp_path / "in/features.json").write_text(json.dumps(features))
        ended = extracted(tmp_path / "in", tmp_path / "out", "--channels=split")
        assert ended.status == 0, ended.text
        found = records_of(tmp_path / "out")
        for channel in (0, 1):
            same(found[f"stereo@{channel}"], alone[f"stereo@{channel}"])

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["WAV", "MP3"])
    def test_a_segment_keeps_its_channels(self, kind, tmp_path):
        """An MP3's segments are cut out of the decoded file, a WAV's are read by themselves."""
        (tmp_path / "long").write_bytes(encode(STEREO, kind=kind))
        row = {"audio": "long", "offset": 1.0, "duration": 2.0, "id": "part"}
        (tmp_path / "m.jsonl").write_text(json.dumps(row) + "\n")
        ended = extracted(tmp_path / "m.jsonl", tmp_path / "out", "--channels=split")
        assert ended.status == 0, ended.text
        found = records_of(tmp_path / "out")
        assert [round(float(found[f"part@{channel}"]["rms_dbfs"])) for channel in (0, 1)] == [-20, -40]

    @pytest.mark.slow
    def test_all_channels_together_are_bounded(self, source, tmp_path):
        ended = extracted(source, tmp_path, "--channels=split", "--max_audio_seconds=10")
        assert "rejected: 1 over_limit: stereo" in ended.text

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            (["--channel=left"], "channel must be 'mean' or the number of a channel, from 0, got 'left'"),
            (["--channel=-1"], "channel must be 'mean' or the number of a channel, from 0, got '-1'"),
            (["--channel=64"], "channel must be in [0, 63], got 64"),
            (
                ["--channel=0", "--channels=split"],
                "channels='split' makes a record of each channel, and channel=0",
            ),
        ],
    )
    def test_a_wrong_call_is_refused(self, source, tmp_path, arguments, named):
        refused = extracted(source, tmp_path / "out", *arguments)
        assert (refused.status, named in refused.text) == (2, True), refused.text
        assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def chunked(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("chunked")
    ended = extracted(source, folder, "--chunk_seconds=2", "--chunk_overlap_seconds=0.5")
    assert ended.status == 0, ended.text
    return ended.text, folder


class TestChunks:
    def test_chunks_overlap_and_the_last_one_ends_with_the_clip(self, chunked):
        found = records_of(chunked[1])
        starts = [found[f"mono#{chunk}"]["start_sample"] for chunk in range(5)]
        assert starts == [0, 24000, 48000, 72000, 96000]
        assert [found[f"mono#{chunk}"]["num_samples"] for chunk in range(5)] == [32000] * 4 + [16000]
        assert "mono#5" not in found
        assert len(found) == 5 + 5 + 2  # the fast one lasts 3.5 s
        check_verifies(chunked[1])

    def test_the_texts_that_are_of_whole_clips_are_said_once_with_their_count(self, chunked):
        text, folder = chunked
        assert text.count("text: 5 chunks have the text of their whole clip") == 1
        found = records_of(folder)
        flagged = [name for name, record in found.items() if record.get("text_is_of_whole_clip") == 1]
        assert flagged == [f"stereo#{chunk}" for chunk in range(5)]

    @pytest.mark.slow
    def test_a_clip_of_just_a_chunk_is_not_cut(self, tmp_path):
        clips = [encode(STEREO[:n, 0]) for n in (32000, 32001, 56000, 56001)]
        write(tmp_path / "in-0", [audio_example(clip, id=str(n)) for n, clip in enumerate(clips)])
        arguments = ["--chunk_seconds=2", "--chunk_overlap_seconds=0.5"]
        assert extracted(tmp_path / "in-0", tmp_path / "out", *arguments).status == 0
        found = records_of(tmp_path / "out")
        assert list(found) == ["0", "1#0", "1#1", "2#0", "2#1", "3#0", "3#1", "3#2"]
        assert found["2#1"]["num_samples"] == 32000
        check_verifies(tmp_path / "out")

    @pytest.mark.slow
    def test_the_features_are_those_of_the_samples(self, chunked, tmp_path_factory):
        folder = tmp_path_factory.mktemp("cut")
        write(folder / "in-0", [audio_example(encode(STEREO[24000:56000, 0]), id="cut")])
        assert extracted(folder / "in-0", folder / "out").status == 0
        same(records_of(chunked[1])["mono#1"], records_of(folder / "out")["cut"])

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            (["--chunk_seconds=31"], "chunk_seconds must be at most 30, what front end 'gemma4' takes, got 31"),
            (["--chunk_seconds=0.001"], "chunk_seconds=0.001 is shorter than one frame of front end 'gemma4'"),
            (["--chunk_seconds=0"], "chunk_seconds must be above 0"),
            (["--chunk_seconds=2", "--chunk_overlap_seconds=2"], "chunk_overlap_seconds must be below"),
            (["--on_long=chunk", "--chunk_overlap_seconds=30"], "below the length of a chunk, 30 s, got 30"),
            (["--chunk_overlap_seconds=1"], "nothing is chunked: add chunk_seconds or on_long='chunk'"),
            (["--chunk_seconds=2", "--on_long=truncate"], "leave one out"),
        ],
    )
    def test_a_wrong_call_is_refused(self, source, tmp_path, arguments, named):
        refused = extracted(source, tmp_path / "out", *arguments)
        assert (refused.status, named in refused.text) == (2, True), refused.text
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
class TestTextsWithTimes:
    """A clip is never cut within what a source gives a text and times."""

    def check(self, source, folder, expected, *arguments):
        """The chunks are these, also where the source was ingested first."""
        ended = extracted(source, folder / "direct", "--chunk_seconds=3", *arguments)
        assert (ended.status, "text_is_of_whole_clip" in ended.text) == (0, False), ended.text
        assert run(ingest, f"--input={source}", f"--output={folder}/audio").status == 0
        assert (
            extracted(folder / "audio/train-*", folder / "ingested", "--chunk_seconds=3", *arguments).status == 0
        )
        for name in ("direct", "ingested"):
            found = records_of(folder / name)
            chunks = [
                (key, record["num_samples"] / RATE, record["text"].decode() if record.get("text") else None)
                for key, record in found.items()
            ]
            assert chunks == expected
            check_verifies(folder / name)

    def test_segments_of_a_manifest(self, tmp_path):
        (tmp_path / "long.wav").write_bytes(encode(STEREO))
        rows = [
            {"audio": "long.wav", "offset": 0.5, "duration": 5.0, "id": "five", "text": "never cut"},
            {"audio": "long.wav", "offset": 1.0, "duration": 2.0, "id": "two", "text": "short"},
            {"audio": "long.wav", "offset": 0.5, "duration": 5.0, "id": "silent"},
        ]
        (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        expected = [
            ("five#0", 5.0, "never cut"),
            ("two", 2.0, "short"),
            ("silent#0", 3.0, None),
            ("silent#1", 2.0, None),
        ]
        self.check(tmp_path / "m.jsonl", tmp_path, expected)

    def test_supervisions_of_lhotse(self, tmp_path):
        (tmp_path / "long.wav").write_bytes(encode(STEREO[:, 0]))
        said = [(0.2, 1.5, "one"), (2.0, 1.5, "two"), (4.5, 2.0, "three")]
        cut = {
            "id": "cut",
            "start": 0.0,
            "duration": 7.0,
            "channel": 0,
            "type": "MonoCut",
            "supervisions": [
                {"id": text, "recording_id": "r", "start": start, "duration": duration, "text": text}
                for start, duration, text in said
            ],
            "recording": {
                "id": "r",
                "sources": [{"type": "file", "channels": [0], "source": str(tmp_path / "long.wav")}],
                "sampling_rate": RATE,
                "num_samples": RATE * SECONDS,
                "duration": 7.0,
            },
        }
        (tmp_path / "cuts.jsonl").write_text(json.dumps(cut) + "\n")
        expected = [("cut#0", 1.85, "one"), ("cut#1", 2.15, "two"), ("cut#2", 3.0, "three")]
        self.check(tmp_path / "cuts.jsonl", tmp_path, expected, "--on_long=chunk")


@pytest.mark.slow
class TestNotIn:
    def test_clips_that_a_split_has_are_left_out_by_the_ids_of_their_audio(self, source, tmp_path):
        """The first split has chunks of channels, and their clips are known all the same."""
        few = ["--limit=2", "--channels=split", "--chunk_seconds=2", "--split=first"]
        assert extracted(source, tmp_path, *few).status == 0
        ended = extracted(source, tmp_path, "--split=train", "--not_in=first")
        assert "1 record read = 1 converted + 0 rejected, 2 left out (in first already)" in ended.text
        assert list(records_of(tmp_path)) == ["fast"]
        check_verifies(tmp_path)
        both = [clip["id"].numpy() for clip in read_features(tmp_path, split="first+train")]
        assert len(both) == len(set(both)) == 13

    def test_ids_that_are_hashes_of_the_audio_are_known_too(self, tmp_path):
        clips = [audio_example(encode(STEREO[n : n + 8000, 0])) for n in range(3)]
        write(tmp_path / "a", clips[:2])
        write(tmp_path / "b", clips)
        assert run(ingest, f"--input={tmp_path}/a", f"--output={tmp_path}/audio").status == 0
        ended = run(
            ingest, f"--input={tmp_path}/b", f"--output={tmp_path}/audio", "--split=more", "--not_in=train"
        )
        assert "1 clip read = 1 written + 0 rejected, 2 left out" in ended.text
        assert extracted(tmp_path / "a", tmp_path / "out", "--split=a").status == 0
        ended = extracted(tmp_path / "b", tmp_path / "out", "--split=b", "--not_in=a")
        assert "1 record read = 1 converted + 0 rejected, 2 left out" in ended.text
