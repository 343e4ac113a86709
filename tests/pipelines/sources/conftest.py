"""What a source gives, planned and read as jobs do, without Beam and without TensorFlow."""

import io
import json
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile

from melbeam.pipelines.sources.planning import find_parts, plan_units, read_unit
from melbeam.pipelines.sources.units import AudioRecord, SourceOptions, Unit
from melbeam.transforms.records.example_proto import Example

FIXTURES = Path(__file__).parents[2] / "data/sources"


class Clip(NamedTuple):
    """One record that a source gave, as Python values."""

    place: str
    id: str | None
    fields: dict
    audio: bytes | list
    seconds: float | None

    @property
    def samples(self):
        """float64 `[num_frames, num_channels]` of its audio."""
        return soundfile.read(io.BytesIO(self.audio), always_2d=True)[0]


def as_clip(item):
    fields = {}
    for name, feature in Example.FromString(item.data).features.feature.items():
        values = list(getattr(feature, feature.WhichOneof("kind")).value)
        fields[name] = values[0] if len(values) == 1 else values
    audio = fields.pop("audio")
    given = fields.pop("id", None)
    return Clip(item.place, given and given.decode(), fields, audio, item.seconds)


class Read(NamedTuple):
    """All that the units of an input gave."""

    units: list
    clips: list
    damages: list
    told: list


@pytest.fixture
def read():
    """Plans and reads an input; each unit goes through its JSON line, as it does between launcher and worker."""

    def run(*patterns, max_record_bytes=1 << 28, **options):
        planned = plan_units([str(pattern) for pattern in patterns], SourceOptions(**options))
        units = [Unit.from_json(json.loads(json.dumps(unit.to_json()))) for unit in planned.units]
        assert units == planned.units
        clips, damages, numbers = [], [], []
        for unit in [part for one in units for part in find_parts([one])]:
            for item in read_unit(unit, max_record_bytes):
                numbers.append(item.place)
                if isinstance(item, AudioRecord):
                    clips.append(as_clip(item))
                else:
                    damages.append(item)
        assert len(set(numbers)) == len(numbers)
        return Read(units, clips, damages, planned.left_out.in_words())

    return run


@pytest.fixture
def fixtures(tmp_path, monkeypatch):
    """The committed files of each format's own library, in the working directory; what clips say by their stem."""
    shutil.copytree(FIXTURES, tmp_path / "sources")
    monkeypatch.chdir(tmp_path / "sources")
    return {path.stem: path.read_bytes() for path in Path("clips").iterdir()}


@pytest.fixture
def tone(tmp_path):
    """Writes a clip of seconds of noise; gives its samples, int16 `[num_frames]`."""

    def write(name, seconds=0.5, rate=16000, channels=1, **how):
        samples = np.random.default_rng(len(name)).integers(
            -9000, 9000, (round(seconds * rate), channels), "int16"
        )
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, rate, **how)
        return samples

    return write
