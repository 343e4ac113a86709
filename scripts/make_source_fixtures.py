"""Writes tests/data/sources: a few short clips as each format's own library keeps them.

    python scripts/make_source_fixtures.py tests/data/sources

Run it in an environment of its own with numpy, soundfile, pyarrow, datasets, lhotse, tensorflow-datasets and
webdataset; of lhotse, `--no-deps` and any torch that can be imported are enough, for no tensor is made.
"""

import gzip
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import soundfile

CLIPS = Path(__file__).parents[1] / "pipelines/demo_clips"
TEXTS = {"morning": "good morning", "river": "the river", "weather": "the weather"}


def make_clips(folder: Path) -> None:
    """Half a second of three demo clips, as WAV, FLAC and MP3; and a WAV of two channels."""
    folder.mkdir(parents=True)
    for source, target in (("01-morning.wav", "morning.wav"), ("02-river.flac", "river.flac")):
        samples, rate = soundfile.read(CLIPS / source, dtype="int16")
        soundfile.write(folder / target, samples[rate // 2 : rate], rate)
    samples, rate = soundfile.read(CLIPS / "05-weather.mp3", dtype="int16")
    soundfile.write(folder / "weather.mp3", samples[rate // 2 : rate], rate)
    samples, rate = soundfile.read(folder / "morning.wav", dtype="int16")
    soundfile.write(folder / "two_channels.wav", np.stack([samples, samples[::-1] // 2], axis=1)[:4000], rate)


def make_webdataset() -> None:
    import webdataset

    for number, names in enumerate((["morning", "river"], ["weather"])):
        with webdataset.TarWriter(f"webdataset-{number:04d}.tar", mtime=0) as tar:
            for name in names:
                path = next(Path("clips").glob(f"{name}.*"))
                sample = {path.suffix[1:]: path.read_bytes(), "txt": TEXTS[name], "cls": number}
                tar.write({"__key__": f"said/{name}", **sample, "json": {"speaker": f"s{number}", "takes": 2}})


def make_nemo() -> None:
    import webdataset

    os.makedirs("nemo")
    rows = []
    for shard, names in enumerate((["morning"], ["river"])):
        with webdataset.TarWriter(f"nemo/audio_{shard}.tar", mtime=0) as tar:
            for name in names:
                path = next(Path("clips").glob(f"{name}.*"))
                tar.write({"__key__": name, path.suffix[1:]: path.read_bytes()})
                row = {"audio_filepath": path.name, "duration": 0.5, "text": TEXTS[name], "shard_id": shard}
                rows.append(json.dumps(row))
    Path("nemo/tarred_audio_manifest.json").write_text("\n".join(rows) + "\n")


def make_lhotse() -> None:
    from lhotse import CutSet, Recording, SupervisionSegment

    cuts = []
    for name, text in TEXTS.items():
        recording = Recording.from_file(next(Path("clips").glob(f"{name}.*")))
        cut = recording.to_cut()
        cut.supervisions.append(
            SupervisionSegment(f"{name}-0", recording.id, 0, recording.duration, text=text, speaker="s1")
        )
        cuts.append(cut)
        part = cut.truncate(offset=0.125, duration=0.25)
        part.id = f"{name}-part"
        cuts.append(part)
    cuts.append(Recording.from_file("clips/two_channels.wav").to_cut().to_mono()[1])
    CutSet.from_cuts(cuts).to_file("cuts.jsonl")
    Path("cuts.jsonl.gz").write_bytes(gzip.compress(Path("cuts.jsonl").read_bytes(), mtime=0))
    os.remove("cuts.jsonl")


def make_datasets() -> None:
    import pyarrow.parquet
    from datasets import Audio, Dataset
    from datasets.table import embed_table_storage

    paths = [str(next(Path("clips").glob(f"{name}.*"))) for name in TEXTS]
    table = Dataset.from_dict({"audio": paths, "text": list(TEXTS.values()), "takes": [1, 2, 3]})
    embedded = embed_table_storage(table.cast_column("audio", Audio(decode=False)).data.table)
    pyarrow.parquet.write_table(embedded, "datasets.parquet", row_group_size=1)


def make_tfds() -> None:
    import tensorflow_datasets as tfds

    class TwoChannels(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            audio = tfds.features.Audio(shape=(None, 2), sample_rate=16000, dtype=np.int16)
            features = {"speech": audio, "text": tfds.features.Text(), "who": {"age": np.int64}}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            samples, _ = soundfile.read("clips/two_channels.wav", dtype="int16")
            yield 0, {"speech": samples, "text": "both", "who": {"age": 7}}

    TwoChannels(data_dir="made").download_and_prepare()
    shutil.move("made/two_channels/1.0.0", "tfds")
    shutil.rmtree("made")


def main() -> None:
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    make_clips(folder / "clips")
    os.chdir(folder)
    make_webdataset()
    make_nemo()
    make_lhotse()
    make_datasets()
    make_tfds()


if __name__ == "__main__":
    main()
