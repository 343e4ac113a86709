"""A file that no source reads is refused with its name and what to do, and is not taken for damaged records."""

import bz2
import io
import json
import lzma
import zipfile
from pathlib import Path

import pyarrow
import pytest

from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources.finding import find_inputs, find_kind
from melbeam.pipelines.sources.kinds import TFRECORD
from melbeam.pipelines.sources.units import SourceOptions
from melbeam.transforms.records.tfrecord_frame import frame_header


def as_zip():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.wav", "x" * 99)
    return file.getvalue()


def as_arrow(new):
    file = io.BytesIO()
    table = pyarrow.table({"text": ["x"]})
    with new(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("talk.ctm", b"talk 1 0.5 0.4 hello 0.9\n", "is text, and begins with b'talk 1 0.5"),
        ("clips.zip", as_zip(), "a ZIP archive, or a workbook"),
        ("clips.tar.xz", lzma.compress(b"x" * 99), "compressed with xz"),
        ("clips.tar.bz2", bz2.compress(b"x" * 99), "compressed with bzip2"),
        ("data-00000-of-00001.arrow", as_arrow(pyarrow.ipc.new_stream), "load_from_disk(FOLDER).to_parquet(FILE)"),
        ("clips.feather", as_arrow(pyarrow.ipc.new_file), "an Arrow or Feather file"),
        ("a.array_record", b"\x83\xafp\xd1\r\x88J?" + bytes(99), "an ArrayRecord or another Riegeli file"),
        ("clips.h5", b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file"),
        ("segments", b"u0 r0 0.0 1.0\n", "a table of Kaldi's, whose recordings a wav.scp"),
    ],
)
def test_it_is_refused_by_name(tmp_path, read, name, data, told):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(data)
    for pattern in (tmp_path / "in", tmp_path / "in" / name):
        with pytest.raises(UsageError, match="in") as error:
            read(pattern)
        assert error.value.refusal is Refusal.UNKNOWN_FORMAT
        assert told in str(error.value)


def test_beside_clips_it_is_left_out(tmp_path, read, tone):
    tone("in/a.wav")
    (tmp_path / "in/more.zip").write_bytes(as_zip())
    found = read(tmp_path / "in")
    assert [clip.id for clip in found.clips] == ["a.wav"]
    assert [told for told in found.told if "more.zip" in told]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ({"audios": [{"path": "a.wav"}], "n": 1}, "its clips may lie in its list 'audios'"),
        (None, "if the whole file is one object, with its clips in a list"),
    ],
)
def test_lists_within_one_object_are_told(tmp_path, read, text, told):
    written = json.dumps(text) if text else json.dumps({"audios": [{"path": "a.wav"}]}, indent=1)
    Path(tmp_path / "corpus.json").write_text(written)
    with pytest.raises(ValueError, match="jq -c") as error:
        read(tmp_path / "corpus.json")
    assert told in str(error.value)


def test_what_datasets_saves_is_refused_as_a_whole(tmp_path, read):
    saved = tmp_path / "saved/train"
    saved.mkdir(parents=True)
    (saved / "data-00000-of-00001.arrow").write_bytes(as_arrow(pyarrow.ipc.new_stream))
    (saved / "state.json").write_text("{}")
    (saved / "dataset_info.json").write_text(json.dumps({"features": {"audio": "x" * 9999}}))
    (tmp_path / "saved/dataset_dict.json").write_text('{"splits": ["train"]}')
    for pattern in (saved, tmp_path / "saved"):
        with pytest.raises(UsageError, match="load_from_disk") as error:
            read(pattern)
        assert error.value.refusal is Refusal.UNKNOWN_FORMAT


@pytest.mark.parametrize("beginning", [b"BZh", b"PK\x03\x04", b"Rar!"])
def test_a_record_whose_length_begins_like_an_archive_is_a_record(tmp_path, beginning):
    (tmp_path / "records").write_bytes(frame_header(int.from_bytes(beginning, "little")) + bytes(999))
    (found,) = find_inputs(str(tmp_path / "records"))
    assert find_kind(found, SourceOptions())[0] == TFRECORD
