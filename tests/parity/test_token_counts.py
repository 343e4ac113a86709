"""The placeholders of a clip, for every length in steps of 10 ms: `make parity` runs this."""

import inspect
from types import SimpleNamespace

import pytest

from melbeam.transforms import FrontEnd

HOW = "transformers is there in `make parity` only"
transformers = pytest.importorskip("transformers", reason=HOW)
gemma3n = pytest.importorskip("transformers.models.gemma3n.processing_gemma3n", reason=HOW)
gemma4 = pytest.importorskip("transformers.models.gemma4.processing_gemma4", reason=HOW)

RATE = 16000
LENGTHS = range(0, 31 * RATE + 1, RATE // 100)


def default(processor, argument):
    return inspect.signature(processor.__init__).parameters[argument].default


def test_gemma4s_are_transformers():
    front_end = FrontEnd.load("gemma4")
    most = default(gemma4.Gemma4Processor, "audio_seq_length")
    # The rule reads a clip's length, and of the processor this alone.
    extractor = transformers.Gemma4AudioFeatureExtractor()
    processor = SimpleNamespace(audio_seq_length=most, feature_extractor=extractor)
    count = gemma4.Gemma4Processor._compute_audio_num_tokens
    assert [front_end.num_audio_tokens(n) for n in LENGTHS] == [count(processor, range(n), RATE) for n in LENGTHS]
    assert front_end.num_audio_tokens(LENGTHS[-1]) == most


def test_gemma3ns_are_transformers():
    """Its processor puts as many into every prompt, whatever the clip's length."""
    front_end = FrontEnd.load("gemma3n")
    always = default(gemma3n.Gemma3nProcessor, "audio_seq_length")
    assert {front_end.num_audio_tokens(n) for n in LENGTHS} == {always}


def test_gemma4s_by_hops_are_keras_hubs():
    """As its preprocessor counts them (`_preprocess_audio`, keras-hub 0.32), of clips of a frame at least."""
    counts_hops = FrontEnd.load("gemma4").replace(padding="semicausal_hops")
    lengths = [n for n in LENGTHS if n >= 160]
    keras_hubs = [min(750, max(1, (n // 160 + 3) // 4)) for n in lengths]
    assert [counts_hops.num_audio_tokens(n) for n in lengths] == keras_hubs
    assert [counts_hops.num_frames(n) for n in lengths] == [min(3000, n // 160) for n in lengths]
    others = [FrontEnd.load("gemma4").num_audio_tokens(n) for n in lengths]
    differ = [n for n, ours, theirs in zip(lengths, others, keras_hubs, strict=True) if ours != theirs]
    assert differ == [n for n in lengths if n % 640 == 160 and n <= 30 * RATE]
