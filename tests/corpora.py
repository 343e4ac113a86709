"""One corpus as each kind of source keeps it: the same clips, ids and texts."""

import csv
import gzip
import io
import json
import tarfile
from pathlib import Path

import numpy as np

from helpers import encode, wav, write
from melbeam.transforms.records.tf_example import to_example

KINDS = ("tfrecord", "manifest", "segments", "kaldi", "lhotse", "parquet", "webdataset", "audio")


class Corpus:
    """Clips of noise, made anew each time that they are asked for, in `num_files` files of a kind.

    Args:
        folder: where all of it goes.
        num_clips: how many.
        seconds: that each lasts.
        num_files: that the kinds with files of many records come in.
    """

    def __init__(self, folder, num_clips, seconds, num_files=4):
        self.folder, self.num_clips, self.seconds, self.num_files = Path(folder), num_clips, seconds, num_files

    def clip(self, number):
        return f"clip-{number:05d}", wav(number, self.seconds), f"text {number}"

    def runs(self):
        size = -(-self.num_clips // self.num_files)
        return [range(first, min(first + size, self.num_clips)) for first in range(0, self.num_clips, size)]

    def files(self):
        """The clips as files, which manifests, Kaldi's folder and `audio` share."""
        folder = self.folder / "clips"
        if not folder.exists():
            folder.mkdir(parents=True)
            for number in range(self.num_clips):
                name, data, _ = self.clip(number)
                (folder / f"{name}.wav").write_bytes(data)
        return folder

    def write(self, kind):
        """Writes the corpus as a kind; gives what `--input` takes, and the other options."""
        return getattr(self, f"_{kind}")()

    def _tfrecord(self):
        for index, run in enumerate(self.runs()):
            records = [to_example(dict(zip(("id", "audio", "text"), self._row(n), strict=True))) for n in run]
            write(self.folder / f"records/part-{index:02d}.tfrecord", records)
        return f"{self.folder}/records/*", []

    def _row(self, number):
        name, data, text = self.clip(number)
        return name, data, text

    def _manifest(self):
        """JSON lines whose paths are relative to the manifest."""
        self.files()
        path = self.folder / "manifest.jsonl"
        rows = [self.clip(n) for n in range(self.num_clips)]
        path.write_text(
            "".join(
                json.dumps({"audio": f"clips/{name}.wav", "id": name, "text": text}) + "\n"
                for name, _, text in rows
            )
        )
        return str(path), [f"--shard_bytes={self._table_bytes()}"]

    def _table_bytes(self):
        return 320_000 * -(-self.num_clips // self.num_files)  # of a row that names no duration

    def _kaldi(self):
        clips, folder = self.files(), self.folder / "kaldi"
        folder.mkdir()
        names = [self.clip(n)[0] for n in range(self.num_clips)]
        (folder / "wav.scp").write_text("".join(f"{name} {clips}/{name}.wav\n" for name in names))
        (folder / "text").write_text("".join(f"{name} text {n}\n" for n, name in enumerate(names)))
        return f"{folder}/", [f"--shard_bytes={self._table_bytes()}"]

    def _segments(self):
        """A manifest of the clips as they lie one behind another in one WAV."""
        path, long = self.folder / "segments.jsonl", self.folder / "long.wav"
        clips = [self.clip(n) for n in range(self.num_clips)]
        long.write_bytes(encode(np.concatenate([np.frombuffer(data, "<i2", offset=44) for _, data, _ in clips])))
        rows = [
            {"audio": str(long), "id": name, "text": text, "offset": self.seconds * n, "duration": self.seconds}
            for n, (name, _, text) in enumerate(clips)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path), [f"--shard_bytes={round(self.seconds * 32_000) * -(-self.num_clips // self.num_files)}"]

    def _lhotse(self):
        clips, path, seconds = self.files(), self.folder / "cuts.jsonl.gz", self.seconds
        cuts = []
        for name, _, text in map(self.clip, range(self.num_clips)):
            sources = [{"type": "file", "channels": [0], "source": f"{clips}/{name}.wav"}]
            recording = {"id": name, "sources": sources, "sampling_rate": 16000, "duration": seconds}
            said = [
                {"id": name, "recording_id": name, "start": 0, "duration": seconds, "channel": 0, "text": text}
            ]
            cut = {"id": name, "start": 0, "duration": seconds, "channel": 0, "recording": recording}
            cuts.append(json.dumps({**cut, "supervisions": said, "type": "MonoCut"}) + "\n")
        path.write_bytes(gzip.compress("".join(cuts).encode(), mtime=0))
        return str(path), [f"--shard_bytes={round(seconds * 32_000) * -(-self.num_clips // self.num_files)}"]

    def _parquet(self):
        import pyarrow as pa
        import pyarrow.parquet as pq

        folder = self.folder / "parquet"
        folder.mkdir(parents=True)
        for index, run in enumerate(self.runs()):
            rows = [self.clip(n) for n in run]
            table = {
                "audio": [{"bytes": data, "path": f"{name}.wav"} for name, data, _ in rows],
                "id": [name for name, _, _ in rows],
                "text": [text for _, _, text in rows],
            }
            pq.write_table(pa.table(table), folder / f"train-{index:05d}.parquet", row_group_size=100)
        return f"{folder}/train-*.parquet", []

    def _webdataset(self):
        folder = self.folder / "tars"
        folder.mkdir(parents=True)
        for index, run in enumerate(self.runs()):
            with tarfile.open(folder / f"train-{index:04d}.tar", "w") as tar:
                for name, data, text in map(self.clip, run):
                    for member, content in ((f"{name}.wav", data), (f"{name}.txt", text.encode())):
                        info = tarfile.TarInfo(member)
                        info.size = len(content)
                        tar.addfile(info, io.BytesIO(content))
        return f"{folder}/train-{{0000..{len(self.runs()) - 1:04d}}}.tar", ["--columns=text=txt"]

    def _audio(self):
        clips = self.files()
        with open(clips / "metadata.csv", "w", newline="") as file:
            table = csv.writer(file, delimiter="|", quoting=csv.QUOTE_NONE)
            table.writerows((name, text) for name, _, text in map(self.clip, range(self.num_clips)))
        size = len(self.clip(0)[1]) * -(-self.num_clips // self.num_files)
        return f"{clips}/**", [f"--shard_bytes={size}"]
