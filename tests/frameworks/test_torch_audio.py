"""Clips that are PyTorch's tensors, as its audio readers give them."""

import numpy as np
import pytest

from melbeam.transforms import AudioConverter, audio_example

torch = pytest.importorskip("torch", reason="installed by `make test-frameworks`")


def test_pytorchs_tensors_are_taken_as_their_values():
    converter = AudioConverter("gemma4", pad_to_max_length=False)
    clip = torch.linspace(-1, 1, 1600).bfloat16()
    expected = converter(clip.float().numpy())
    for audio in (clip, clip[None], [clip]):
        found = converter(audio, sampling_rate=torch.tensor(16000))
        np.testing.assert_array_equal(found[0] if found.shape.rank == 3 else found, expected)
    with pytest.raises(ValueError, match="must be at the front end's 16000 Hz, got 8000"):
        converter(clip, sampling_rate=torch.tensor(8000))
    np.testing.assert_array_equal(converter.stream().push(clip)[:5], expected[:5])
    assert audio_example(clip, id="a") == audio_example(clip.float().numpy(), id="a")


def test_a_gradient_is_not_lost_in_silence():
    converter = AudioConverter("gemma4")
    for take in (converter, converter.stream().push, audio_example):
        with pytest.raises(TypeError, match=r"got a torch Tensor, which gives none here: .*requires grad"):
            take(torch.zeros(1600, requires_grad=True))
