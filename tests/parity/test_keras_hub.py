"""What `save_to_preset` writes, loaded by keras-hub itself. `make parity` runs this, where keras-hub is."""

import json

import numpy as np
import pytest

from melbeam.transforms import AudioConverter, FrontEnd
from melbeam.transforms.presets import built_in, save_preset

keras_hub = pytest.importorskip("keras_hub", reason="keras-hub is there in `make parity` only")

CLASSES = {
    "gemma4": keras_hub.layers.Gemma4AudioConverter,
    "gemma3n": keras_hub.layers.Gemma3nAudioConverter,
    "whisper": keras_hub.layers.WhisperAudioConverter,
}


@pytest.mark.parametrize(
    ("name", "family", "changes"),
    [
        ("gemma4", "gemma4", {}),
        ("gemma4", "gemma4", {"per_bin_mean": [0.5] * 128, "per_bin_stddev": [2.0] * 128, "max_audio_length": 10}),
        ("gemma4", "gemma4", {"mel_floor": 1e-4, "num_mels": 80, "frame_length": 400, "hop_length": 200}),
        ("gemma4", "gemma4", {"frame_length": 321, "hop_length": 170, "max_audio_length": 7}),
        ("whisper", "whisper", {}),
        ("whisper", "whisper", {"frame_length": 512, "fft_length": 512, "hop_length": 100}),
        ("whisper_large_v3", "whisper", {"max_audio_length": 10}),
        ("gemma3n", "gemma3n", {}),
        (
            "gemma3n",
            "gemma3n",
            {"frame_length": 320, "fft_length": 512, "num_mels": 64, "input_scale_factor": 2.0},
        ),
    ],
)
def test_keras_hub_loads_equal_features(tmp_path, signals, name, family, changes):
    converter = AudioConverter(FrontEnd.load(name).replace(**changes))
    converter.save_to_preset(tmp_path)
    layer = CLASSES[family].from_preset(str(tmp_path))
    assert type(keras_hub.layers.AudioConverter.from_preset(str(tmp_path))) is type(layer)
    noise = signals["noise"]
    expected = converter(noise).numpy()
    if family == "gemma3n":
        found = np.asarray(layer(noise[None])[0])[0]
        expected = expected[: len(found)]
    else:
        found = np.asarray(layer(noise))
    # Noise has no quiet bins; the references' float32 errs by up to 6e-5 on it.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("gemma4_documented", {}),
        ("gemma4", {"max_audio_length": None}),
        ("gemma4", {"preemphasis": 0.97}),
        ("gemma3n", {"preemphasis_htk_flavor": False}),
    ],
)
def test_keras_hub_does_not_take_a_form_of_our_own_for_its_own(tmp_path, name, changes):
    save_preset(FrontEnd.load(name).replace(**changes), tmp_path)
    with pytest.raises(ValueError, match=r"has no config\.json"):
        keras_hub.layers.AudioConverter.from_preset(str(tmp_path))
    model = {"registered_name": "keras_hub>Gemma4Backbone"}  # as beside a whole preset
    (tmp_path / "config.json").write_text(json.dumps(model))
    with pytest.raises(FileNotFoundError, match=r"audio_converter\.json"):
        keras_hub.layers.AudioConverter.from_preset(str(tmp_path))


def test_the_built_in_presets_are_keras_hubs():
    for family, cls in CLASSES.items():
        theirs = {name: (p["metadata"]["params"], p["kaggle_handle"]) for name, p in cls.presets.items()}
        ours = {name: (p.parameters, p.handle) for name, p in built_in(family).items()}
        assert ours == {name: theirs.get(name) for name in ours}
        # The assistants of Gemma 4 draft tokens for another model, and hear nothing.
        assert {name for name in set(theirs) - set(ours) if not name.endswith("_assistant")} == set()
