"""Stored features in each model's encoder: its outputs against those of the reference's own preprocessing.

`make test-models` runs this; `make parity` runs keras-hub's, for it installs no PyTorch.
"""

import numpy as np
import pytest
from encoders import ENCODERS

pytest.importorskip("transformers", reason="transformers is there in `make parity` and `make test-models` only")

# The encoders' float32, in other shapes; the features themselves agree to 6e-5 on noise and speech.
CLOSE = 1e-5
# keras-hub's weights of Gemma 3n begin larger: the extractor's float32, 1e-4 off in speech's quiet bins, shows.
CLOSE_OF_SPEECH = {"keras_hub/gemma3n": 1e-4}
# Whisper's lists take minutes to write at the full length, which is how they are stored anyway.
WAYS = {"whisper": ["bytes", "float_list", "padded"]}
CASES = [
    (model, way)
    for model, encoder in ENCODERS.items()
    for way in WAYS.get(encoder.front_end, ["bytes", "float_list", "padded", "float_list, padded"])
]


@pytest.mark.parametrize(("model", "way"), CASES)
def test_hears_of_stored_features_what_it_hears_of_the_references(model, way, stored, clips):
    package = pytest.importorskip("torch" if model.startswith("transformers") else "keras_hub")
    if model == "keras_hub/gemma3n" and not hasattr(package.layers, "Gemma3nAudioConverter"):
        pytest.skip("keras-hub 0.27 has other models")
    encoder = ENCODERS[model]
    batch, _ = stored(encoder.front_end, way)
    found, expected = encoder.outputs(batch, clips)
    assert len(found) == len(expected) == len(clips)
    for number, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        assert len(theirs) > 0
        assert np.abs(theirs).max() > 1e-3  # else nothing was heard
        closeness = CLOSE if number else CLOSE_OF_SPEECH.get(model, CLOSE)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=closeness)
