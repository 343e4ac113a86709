"""What `save_to_preset` writes, loaded by keras-hub itself. `make parity` runs this, where keras-hub is."""

import json

import numpy as np
import pytest

from melbeam.transforms import AudioConverter, FrontEnd, Gemma4AudioConverter

keras_hub = pytest.importorskip("keras_hub", reason="keras-hub is there in `make parity` only")

# keras-hub finds the class by the backbone that a whole preset has beside the converter.
BACKBONES = {"gemma4": "Gemma4Backbone", "gemma3n": "Gemma3nBackbone", "whisper": "WhisperBackbone"}


def load(folder, family):
    (folder / "config.json").write_text(json.dumps({"registered_name": f"keras_hub>{BACKBONES[family]}"}))
    return keras_hub.layers.AudioConverter.from_preset(str(folder))


@pytest.mark.parametrize(
    ("name", "family", "changes"),
    [
        ("gemma4", "gemma4", {}),
        ("gemma4", "gemma4", {"per_bin_mean": [0.5] * 128, "per_bin_stddev": [2.0] * 128, "max_audio_length": 10}),
        ("gemma4", "gemma4", {"mel_floor": 1e-4, "num_mels": 80, "frame_length": 400, "hop_length": 200}),
        ("whisper", "whisper", {}),
        ("whisper_large_v3", "whisper", {"max_audio_length": 10}),
        ("gemma3n", "gemma3n", {}),
    ],
)
def test_keras_hub_loads_equal_features(tmp_path, signals, name, family, changes):
    converter = AudioConverter(FrontEnd.load(name).replace(**changes))
    converter.save_to_preset(tmp_path)
    layer = load(tmp_path, family)
    noise = signals["noise"]
    expected = converter(noise).numpy()
    if family == "gemma3n":
        found = np.asarray(layer(noise[None])[0])[0]
        expected = expected[: len(found)]
    else:
        found = np.asarray(layer(noise))
    # Noise has no quiet bins; the references' float32 errs by up to 6e-5 on it.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_keras_hub_does_not_take_the_documented_mathematics_for_its_own(tmp_path):
    Gemma4AudioConverter().save_to_preset(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"audio_converter\.json"):
        load(tmp_path, "gemma4")
