"""The encoders of each model, tiny and random: what they make of stored features and of the reference's own.

tests/parity/test_encoders.py holds the two against each other, scripts/encoders_table.py writes how far they are
apart. transformers' encoders are PyTorch's, keras-hub's are Keras'; neither is imported before it is asked for.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from melbeam.pipelines import extract
from melbeam.pipelines.tfrecord import TFRecordWriter
from melbeam.transforms import model_inputs
from melbeam.transforms.records.tf_example import to_example

RATE = 16_000
LONGEST = 30 * RATE

Rows = list[np.ndarray]  # of each clip, the encoder's outputs that count, [tokens, size]


def speech() -> np.ndarray:
    """Returns the first seconds of a spoken clip of the demo's, int16."""
    folder = resources.files("melbeam.pipelines.demo_clips")
    for name in sorted(path.name for path in folder.iterdir() if path.name.endswith((".wav", ".flac"))):
        samples, rate = soundfile.read(io.BytesIO((folder / name).read_bytes()), dtype="int16")
        if rate == RATE and samples.ndim == 1:
            return samples[: 4 * RATE]
    raise AssertionError(f"no clip at {RATE} Hz in {folder}")


def clips() -> list[np.ndarray]:
    """Speech, and noise of unequal lengths, one a whole number of hops."""
    random = np.random.default_rng(6)
    return [speech(), *((3000 * random.standard_normal(n)).astype(np.int16) for n in (RATE, 21_937, 9_000))]


def as_floats(clip: np.ndarray) -> np.ndarray:
    """Returns the clip as float32 in [-1, 1)."""
    return clip.astype(np.float32) / 2**15


def store(folder: Path, front_end: str, clips: list[np.ndarray], *options: str) -> Path:
    """A folder of the clips' features, as the job stores them, with a text each."""
    others = {"sampling_rate": RATE, "text": "the quick fox"}
    records = [to_example({"audio": clip, "id": str(number), **others}) for number, clip in enumerate(clips)]
    with open(folder / "audio", "wb") as file:
        writer = TFRecordWriter(file)
        for record in records:
            writer.write(record)
    status = extract.main(
        [f"--input={folder}/audio", f"--output={folder}/f", f"--front_end={front_end}", *options]
    )
    assert status == 0
    return folder / "f"


@dataclass(frozen=True)
class Encoder:
    """A model's encoder.

    Attributes:
        front_end: of the features that it takes.
        outputs: the batch of stored features, and the clips that it was made of, to the outputs of both.
    """

    front_end: str
    outputs: Callable[[Any, list[np.ndarray]], tuple[Rows, Rows]]


def _alone(extractor: Any, clips: list[np.ndarray], **options: Any) -> Iterator[Any]:
    """The reference's features and mask of each clip on its own.

    In a batch, the extractor of Gemma 3n counts up to three frames more of a clip beside a longer one.
    """
    for clip in clips:
        yield extractor([as_floats(clip)], sampling_rate=RATE, return_tensors="np", **options)


def _joined(extractor: Any, clips: list[np.ndarray], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Features and masks of clips, each by the reference on its own, in a batch of so many rows, zeros behind."""
    features, masks = np.zeros((len(clips), rows, 128), np.float32), np.zeros((len(clips), rows), bool)
    for number, alone in enumerate(_alone(extractor, clips)):
        frames = int(alone["input_features_mask"].sum())
        features[number, :frames] = alone["input_features"][0, :frames]
        masks[number, :frames] = True
    return features, masks


def _counted(hidden: Any, tokens: Any) -> Rows:
    return [row[:count] for row, count in zip(np.asarray(hidden), np.asarray(tokens).tolist(), strict=True)]


def _valid(hidden: Any, valid: np.ndarray) -> Rows:
    return [row[is_valid] for row, is_valid in zip(np.asarray(hidden), valid, strict=True)]


# ------------------------------------------------------------------------------------------------ transformers


def transformers_gemma4_encoder() -> Any:
    """Gemma 4's encoder in transformers, whose `last_hidden_state` is `[batch, tokens, 16]`."""
    import torch
    import transformers

    torch.manual_seed(1)
    config = transformers.Gemma4AudioConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        subsampling_conv_channels=[128, 4],
        output_proj_dims=16,
        initializer_range=0.1,
    )
    return transformers.Gemma4AudioModel(config).eval()


def _transformers_gemma4(batch: Any, clips: list[np.ndarray]) -> tuple[Rows, Rows]:
    import torch
    import transformers

    encoder = transformers_gemma4_encoder()
    extractor = transformers.Gemma4AudioFeatureExtractor()
    theirs = extractor([as_floats(clip) for clip in clips], sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        found, expected = (
            encoder(**inputs).last_hidden_state for inputs in (model_inputs(batch, "transformers/gemma4"), theirs)
        )
    tokens = batch["num_audio_tokens"]
    return _counted(found, tokens), _counted(expected, tokens)


def _transformers_gemma3n(batch: Any, clips: list[np.ndarray]) -> tuple[Rows, Rows]:
    import torch
    import transformers
    from transformers.models.gemma3n.modeling_gemma3n import Gemma3nAudioEncoder

    torch.manual_seed(1)
    config = transformers.Gemma3nAudioConfig(
        hidden_size=32, conf_num_hidden_layers=2, conf_num_attention_heads=4, sscp_conv_channel_size=(8, 4)
    )
    encoder = Gemma3nAudioEncoder(config).eval()

    def encoded(features: Any, mask: Any) -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():  # as the model calls it, with the inverse of its own mask
            output = encoder(features, ~mask.bool())
        return output.last_hidden_state.numpy(), ~output.audio_mel_mask.numpy()

    inputs = model_inputs(batch, "transformers/gemma3n")
    found, valid = encoded(inputs["input_features"], inputs["input_features_mask"])
    extractor = transformers.Gemma3nAudioFeatureExtractor()
    theirs = _joined(extractor, clips, inputs["input_features"].shape[1])
    expected, _ = encoded(*map(torch.from_numpy, theirs))
    return _valid(found, valid), _valid(expected, valid)


def _transformers_whisper(batch: Any, clips: list[np.ndarray]) -> tuple[Rows, Rows]:
    import torch
    import transformers

    torch.manual_seed(1)
    config = transformers.WhisperConfig(
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
    )
    encoder = transformers.WhisperModel(config).eval().encoder
    extractor = transformers.WhisperFeatureExtractor()
    theirs = extractor([as_floats(clip) for clip in clips], sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        found, expected = (
            encoder(inputs["input_features"]).last_hidden_state
            for inputs in (model_inputs(batch, "transformers/whisper"), theirs)
        )
    return list(found.numpy()), list(expected.numpy())


# --------------------------------------------------------------------------------------------------- keras-hub


def _keras_hub_gemma4(batch: Any, clips: list[np.ndarray]) -> tuple[Rows, Rows]:
    import keras
    import transformers
    from keras_hub.src.models.gemma4.gemma4_audio_encoder import Gemma4AudioEncoder

    keras.utils.set_random_seed(1)
    encoder = Gemma4AudioEncoder(
        hidden_size=32,
        num_heads=4,
        num_layers=2,
        sscp_conv_channels=(128, 4),
        output_proj_dims=16,
        output_dim=16,
    )
    inputs = model_inputs(batch, "keras_hub/gemma4")
    found = np.asarray(encoder(inputs["audio_mel"], keras.ops.cast(inputs["audio_mel_mask"], "bool")))[:, 0]
    tokens, expected = np.asarray(batch["num_audio_tokens"]).tolist(), []
    extractor = transformers.Gemma4AudioFeatureExtractor()
    all_alone = _alone(extractor, clips, padding="max_length", max_length=LONGEST)
    for count, alone in zip(tokens, all_alone, strict=True):
        features, mask = alone["input_features"], alone["input_features_mask"].astype(bool)
        expected.append(np.asarray(encoder(features[:, None], mask[:, None]))[0, 0, :count])
    return _counted(found, tokens), expected


def _keras_hub_gemma3n(batch: Any, clips: list[np.ndarray]) -> tuple[Rows, Rows]:
    import keras
    import transformers
    from keras_hub.src.models.gemma3n.gemma3n_audio_encoder import Gemma3nAudioEncoder

    keras.utils.set_random_seed(1)
    encoder = Gemma3nAudioEncoder(
        hidden_size=32,
        input_feat_size=128,
        sscp_conv_channel_size=(8, 4),
        sscp_conv_kernel_size=((3, 3), (3, 3)),
        sscp_conv_stride_size=((2, 2), (2, 2)),
        sscp_conv_group_norm_eps=1e-3,
        num_hidden_layers=2,
        rms_norm_eps=1e-6,
        gradient_clipping=1e10,
        residual_weight=0.5,
        num_attention_heads=4,
        attention_chunk_size=12,
        num_attention_context_right=0,
        num_attention_context_left=13,
        attention_logit_cap=50.0,
        conv_kernel_size=5,
        reduction_factor=4,
    )
    inputs = model_inputs(batch, "keras_hub/gemma3n")
    # As the model's embedding calls it: with the mask as it is given.
    found, padding = encoder((inputs["input_features"][:, 0], inputs["input_features_mask"][:, 0]))
    extractor = transformers.Gemma3nAudioFeatureExtractor()
    features, masks = _joined(extractor, clips, inputs["input_features"].shape[2])
    expected, _ = encoder((keras.ops.convert_to_tensor(features), keras.ops.convert_to_tensor(~masks)))
    valid = ~np.asarray(padding)
    return _valid(found, valid), _valid(expected, valid)


def _keras_hub_whisper(batch: Any, clips: list[np.ndarray]) -> tuple[Rows, Rows]:
    import keras
    import keras_hub

    keras.utils.set_random_seed(1)
    backbone = keras_hub.models.WhisperBackbone(
        vocabulary_size=12, num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32
    )
    text = {
        name: keras.ops.ones((len(clips), 3), "int32") for name in ("decoder_token_ids", "decoder_padding_mask")
    }
    padded = np.zeros((len(clips), max(map(len, clips))), np.float32)
    for row, clip in zip(padded, clips, strict=True):
        row[: len(clip)] = as_floats(clip)
    theirs = {"encoder_features": keras_hub.layers.WhisperAudioConverter()(padded)}
    found, expected = (
        np.asarray(backbone({**inputs, **text})["encoder_sequence_output"])
        for inputs in (model_inputs(batch, "keras_hub/whisper"), theirs)
    )
    return list(found), list(expected)


ENCODERS = {
    "keras_hub/gemma4": Encoder("gemma4", _keras_hub_gemma4),
    "keras_hub/gemma3n": Encoder("gemma3n", _keras_hub_gemma3n),
    "keras_hub/whisper": Encoder("whisper", _keras_hub_whisper),
    "transformers/gemma4": Encoder("gemma4", _transformers_gemma4),
    "transformers/gemma3n": Encoder("gemma3n", _transformers_gemma3n),
    "transformers/whisper": Encoder("whisper", _transformers_whisper),
}
