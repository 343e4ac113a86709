"""verify --against, with our own converter in a reference's place: what is read, and what is found."""

import io
import json

import numpy as np
import pytest

from helpers import encode, wav, write
from melbeam.pipelines import files
from melbeam.pipelines.verifying import comparison
from melbeam.transforms import AudioConverter
from melbeam.transforms.records.tf_example import to_example

NUM_PARTS = 8
CLIPS = ((1, "loud", 0.1), (2, "soft", 0.05))


@pytest.fixture(autouse=True)
def our_converter_as_reference(monkeypatch):
    def reference(package, front_end):
        converter = AudioConverter(front_end, pad_to_max_length=front_end.takes_full_length)

        def compute(samples):
            rows = np.asarray(converter(samples))
            return rows, np.arange(len(rows))

        return compute

    monkeypatch.setattr(comparison, "reference", reference)


def faults(said):
    return [line for line in said.splitlines() if line.startswith("FAULT: ")]


@pytest.mark.parametrize("fixture", ["folder", "full_length_folder"])
def test_features_of_this_audio_have_no_faults(request, fixture):
    """Cut, chunked, resampled, padded and compact ones."""
    folder = request.getfixturevalue(fixture)
    status, said = folder.verify("--against=keras-hub", "--sample=5")
    assert (status, faults(said)) == (0, []), said
    assert said.count(" records against keras-hub: at most ") == len(list((folder.path / "_melbeam").iterdir()))


def test_silence_of_another_value_is_found(full_length_folder):
    """All rows behind the clip alike, as a mask's zeros would be: nothing in the record contradicts them."""

    def zeros(fields):
        values = fields["input_features"].bytes_list.value
        rows = np.frombuffer(values[0], "<f4").reshape(-1, 80).copy()
        rows[10:] = 0
        values[0] = rows.tobytes()

    full_length_folder.edit_record("padded-00000-of-00001.tfrecord", 0, zeros)
    finished = full_length_folder.verify()
    assert finished[0] == 0, finished[1]
    status, said = full_length_folder.verify("--against=keras-hub")
    assert (status, "id 'padded-0' is " in said, "these are not its features" in said) == (1, True, True), said


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"seconds": 0.1, "loudness": 0.05}, "id 'clip' has rms_dbfs "),
        ({"seconds": 0.2, "loudness": 0.1}, "id 'clip' has 1600 samples from 0, its clip has 3200"),
    ],
)
def test_other_audio_in_the_source_is_found(folders, tmp_path, other, named):
    """Both have the same size, so that only what is decoded shows it: another level, or another length."""

    def source(seconds, loudness, size):
        clip = {"audio": wav(1, seconds, loudness=loudness), "id": "clip"}
        missing = size - len(to_example({**clip, "filler": b""}))
        return to_example({**clip, "filler": bytes(missing)})

    write(tmp_path / "train-0", [source(0.1, 0.1, 9000)])
    size = (tmp_path / "train-0").stat().st_size
    folders.extracted(tmp_path, "train")
    folder = folders.Folder(tmp_path / "features")
    assert folder.verify("--against=keras-hub")[0] == 0
    write(tmp_path / "train-0", [source(**other, size=9000)])
    assert (tmp_path / "train-0").stat().st_size == size
    status, said = folder.verify("--against=keras-hub")
    assert (status, len(faults(said)), named in faults(said)[0]) == (1, 1, True), said


def test_records_in_another_order_are_no_faults_of_the_features(folders, tmp_path):
    clips = [to_example({"audio": wav(seed, loudness=loudness), "id": name}) for seed, name, loudness in CLIPS]
    write(tmp_path / "train-0", clips)
    folders.extracted(tmp_path, "train")
    folder = folders.Folder(tmp_path / "features")
    write(tmp_path / "train-0", reversed(clips))  # of the same size
    status, said = folder.verify("--against=keras-hub")
    told = "train-0#0 is another record by now: its id is 'soft', and the features are of 'loud'"
    assert (status, told in said, faults(said)) == (2, True, []), said


def make_parts(folders, tmp_path, num_clips, seconds):
    clips = [to_example({"audio": wav(i, seconds), "id": f"clip-{i}"}) for i in range(num_clips)]
    write(tmp_path / "train-0", clips)
    size = (tmp_path / "train-0").stat().st_size
    folders.extracted(tmp_path, "train", f"--max_shard_bytes={-(-size // NUM_PARTS)}")
    return folders.Folder(tmp_path / "features"), size


class CountingFile(io.BufferedReader):
    """Counts the bytes that are read of one file."""

    num_bytes = 0

    def read(self, size=-1):
        data = super().read(size)
        CountingFile.num_bytes += len(data)
        return data

    def readinto(self, buffer):
        size = super().readinto(buffer)
        CountingFile.num_bytes += size
        return size


def test_the_parts_of_a_large_file_are_read_once(folders, tmp_path, monkeypatch):
    folder, size = make_parts(folders, tmp_path, num_clips=64, seconds=6.0)
    assert len(list(folder.path.glob("train-*"))) == NUM_PARTS
    really_open = files.open_file

    def open_file(path):
        return CountingFile(io.FileIO(path)) if path.endswith("/train-0") else really_open(path)

    monkeypatch.setattr(files, "open_file", open_file)
    CountingFile.num_bytes = 0
    status, said = folder.verify("--against=keras-hub")
    assert (status, faults(said)) == (0, []), said
    # Each part once, a block too many at its end; and the headers of all records, to find where the parts begin.
    # From the beginning for each part it would be 4.5 times the file.
    assert size <= CountingFile.num_bytes < 2.5 * size


def test_a_source_that_is_no_longer_the_same_is_refused(folders, tmp_path):
    folder, _ = make_parts(folders, tmp_path, num_clips=8, seconds=0.2)
    write(tmp_path / "train-0", [])
    status, said = folder.verify("--against=keras-hub")
    assert (status, "the source of train, has 0 bytes, not " in said, "put it back" in said) == (2, True, True), (
        said
    )


def test_a_flac_whose_samples_are_not_those_of_its_md5_is_a_fault(folders, tmp_path):
    """Extracted without asking for it; FLAC's own checksums of frames hold."""
    data = bytearray(encode(0.1 * np.random.default_rng(1).standard_normal(16000), kind="FLAC"))
    data[8 + 18] ^= 1  # the first byte of the MD5, which ends STREAMINFO
    write(tmp_path / "train-0", [to_example({"audio": bytes(data), "id": "flac"})])
    folders.extracted(tmp_path, "train")
    folder = folders.Folder(tmp_path / "features")
    assert folder.verify()[0] == 0
    status, said = folder.verify("--against=keras-hub")
    assert (status, len(faults(said))) == (1, 1), said
    assert "id 'flac': " in faults(said)[0]
    assert "MD5" in faults(said)[0]


@pytest.fixture
def stereo(tmp_path):
    """Clips of two channels that differ, at another rate too; `write_them(exchanged)` writes them anew."""
    rng = np.random.default_rng(3)
    clips = [(f"clip-{rate}", 0.1 * rng.standard_normal((rate, 2)) * [1, 0.3], rate) for rate in (16000, 32000)]

    def write_them(exchanged=False):
        order = [1, 0] if exchanged else [0, 1]
        records = [
            to_example({"audio": encode(samples[:, order], rate), "id": name, "text": "said"})
            for name, samples, rate in clips
        ]
        write(tmp_path / "train-0", records)

    write_them()
    return write_them


@pytest.mark.parametrize(
    ("options", "num_records", "hears_channels"),
    [
        (["--channel=1"], 2, True),
        (["--channels=split"], 4, True),
        (["--on_long=chunk", "--chunk_seconds=0.3"], 8, False),
        (["--on_long=chunk", "--chunk_seconds=0.5", "--chunk_overlap_seconds=0.25"], 6, False),
        (["--on_long=chunk", "--chunk_seconds=0.3", "--channels=split"], 16, True),
        (["--on_long=chunk", "--chunk_seconds=0.3", "--channel=0"], 8, True),
    ],
)
def test_channels_and_chunks_are_held_against_their_own_audio(
    folders, tmp_path, stereo, options, num_records, hears_channels
):
    folders.extracted(tmp_path, "train", *options)
    folder = folders.Folder(tmp_path / "features")
    status, said = folder.verify("--against=keras-hub")
    assert (status, faults(said)) == (0, []), said
    assert f"train: {num_records} records against keras-hub" in said
    stereo(exchanged=True)  # a source of the same size whose channels are the other ones
    status, said = folder.verify("--against=keras-hub")
    assert (status, len(faults(said))) == ((1, num_records) if hears_channels else (0, 0)), said


def test_chunks_between_texts_are_held_against_their_own_audio(folders, tmp_path):
    """Where each text has its time, chunks begin and end anywhere."""
    write_clip(tmp_path / "long.wav", 1.2)
    times = [(0.0, 0.25, "one"), (0.3, 0.55, "two"), (0.6, 0.8, "three"), (0.9, 1.1, "four")]
    said = [
        {"id": f"s{k}", "recording_id": "r", "start": start, "duration": end - start, "channel": 0, "text": text}
        for k, (start, end, text) in enumerate(times)
    ]
    recording = {
        "id": "r",
        "sources": [{"type": "file", "channels": [0], "source": "long.wav"}],
        "sampling_rate": 16000,
        "num_samples": 19200,
        "duration": 1.2,
        "channel_ids": [0],
    }
    cut = {"id": "c", "start": 0, "duration": 1.2, "channel": 0, "supervisions": said, "recording": recording}
    (tmp_path / "train-cuts.jsonl").write_text(json.dumps({**cut, "type": "MonoCut"}) + "\n")
    folders.extracted(tmp_path, "train", "--on_long=chunk", "--chunk_seconds=0.6", "--input_format=lhotse")
    folder = folders.Folder(tmp_path / "features")
    status, found = folder.verify("--against=keras-hub")
    assert (status, faults(found)) == (0, []), found
    assert "train: 2 records against keras-hub" in found
    write_clip(tmp_path / "long.wav", 1.2, seed=1)
    status, found = folder.verify("--against=keras-hub")
    assert (status, len(faults(found))) == (1, 2), found


def write_clip(path, seconds, seed=0):
    path.write_bytes(wav(seed, seconds))
