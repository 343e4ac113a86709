"""Stored features in the models that they are for: outputs against those of the reference's own preprocessing.

The models are tiny and random. `make parity` runs this; PyTorch is not among what it installs.
"""

import io
from importlib import resources

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from helpers import write
from melbeam.pipelines import extract
from melbeam.transforms import AudioConverter, FeatureSource, model_inputs, read_features
from melbeam.transforms.records.examples import to_example

transformers = pytest.importorskip("transformers", reason="transformers is there in `make parity` only")

# The encoders' float32, in other shapes; the features themselves agree to 6e-5 on noise and speech.
CLOSE = {"rtol": 0, "atol": 1e-5}
RATE = 16000
STORED = {
    "bytes": ["--encoding=bytes"],
    "float_list": ["--encoding=float_list"],
    "padded": ["--pad_to_max_length=on"],
    "float_list, padded": ["--encoding=float_list", "--pad_to_max_length=on"],
}


def speech():
    clip = resources.files("melbeam.pipelines.demo_clips")
    found = sorted(path.name for path in clip.iterdir() if path.name.endswith((".wav", ".flac")))
    for name in found:
        samples, rate = soundfile.read(io.BytesIO((clip / name).read_bytes()), dtype="int16")
        if rate == RATE and samples.ndim == 1:
            return samples[: 4 * RATE]
    raise AssertionError(f"no clip at {RATE} Hz among {found}")


@pytest.fixture(scope="module")
def clips():
    """Speech and noise of unequal lengths, one a whole number of hops."""
    random = np.random.default_rng(6)
    noise = [(3000 * random.standard_normal(n)).astype(np.int16) for n in (RATE, 21_937, 9_000)]
    return [speech(), *noise]


@pytest.fixture(scope="module")
def stored(tmp_path_factory, clips):
    """The clips' features of a front end, stored in one of several ways, as a batch of `read_features`."""
    made = {}

    def batch(front_end, way):
        if (front_end, way) not in made:
            folder = tmp_path_factory.mktemp("stored")
            others = {"sampling_rate": RATE, "text": "the quick fox"}
            records = [{"audio": clip, "id": str(number), **others} for number, clip in enumerate(clips)]
            write(folder / "audio", map(to_example, records))
            command = [f"--input={folder}/audio", f"--output={folder}/f", f"--front_end={front_end}"]
            assert extract.main([*command, *STORED[way]]) == 0
            made[front_end, way] = folder / "f"
        folder = made[front_end, way]
        return next(iter(read_features(folder, front_end=front_end, batch_size=len(clips)))), folder

    return batch


def as_floats(clip):
    return clip.astype(np.float32) / 2**15


def joined(alone):
    """Features and masks of clips, each by the reference on its own, in one batch, zeros behind them.

    The reference's own batch is another: it counts up to three frames more of a clip beside a longer one.
    """
    rows = max(of_clip["input_features"].shape[1] for of_clip in alone)
    features, masks = np.zeros((len(alone), rows, 128), np.float32), np.zeros((len(alone), rows), bool)
    for number, of_clip in enumerate(alone):
        frames = int(of_clip["input_features_mask"].sum())
        features[number, :frames] = of_clip["input_features"][0, :frames]
        masks[number, :frames] = True
    return features, masks


def assert_valid_rows_agree(found, expected, **tolerance):
    """Found `[batch, tokens, ...]` against the reference's of each clip alone, at the tokens of that clip."""
    assert len(found) == len(expected)
    for row, alone in zip(found, expected, strict=True):
        assert np.abs(alone).max() > 1e-3  # else nothing was heard
        np.testing.assert_allclose(row[: len(alone)], alone, **(tolerance or CLOSE))


# ------------------------------------------------------------------------------------------------ transformers


class TestTransformers:
    @pytest.fixture(scope="class", autouse=True)
    def torch(self):
        torch = pytest.importorskip("torch", reason="transformers' models need PyTorch, which is not installed")
        torch.manual_seed(1)
        return torch

    @pytest.fixture(scope="class")
    def gemma4(self, torch):
        config = transformers.Gemma4AudioConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            subsampling_conv_channels=[128, 4],
            output_proj_dims=16,
            initializer_range=0.1,
        )
        return transformers.Gemma4AudioModel(config).eval()

    @pytest.mark.parametrize("way", STORED)
    def test_gemma4(self, torch, gemma4, stored, clips, way):
        extractor = transformers.Gemma4AudioFeatureExtractor()
        batch, _ = stored("gemma4", way)
        inputs = model_inputs(batch, "transformers/gemma4")
        assert set(inputs) == {"input_features", "input_features_mask"}
        theirs = extractor([as_floats(clip) for clip in clips], sampling_rate=RATE, return_tensors="pt")
        rows = theirs["input_features_mask"].shape[1]
        np.testing.assert_array_equal(inputs["input_features_mask"][:, :rows], theirs["input_features_mask"])
        with torch.no_grad():
            found, expected = (gemma4(**of).last_hidden_state.numpy() for of in (inputs, theirs))
        tokens = batch["num_audio_tokens"].numpy()
        assert_valid_rows_agree(found, [row[:count] for row, count in zip(expected, tokens, strict=True)])

    @pytest.mark.parametrize("num_samples", [16_000, 56_800, 56_801, 56_960, 57_000, 57_120, 57_280, 400, 330])
    def test_gemma4s_last_token(self, torch, gemma4, num_samples):
        """It hears whether rows follow the longest clip: as many do as the extractor's padding gives."""
        clip = (3000 * np.random.default_rng(3).standard_normal(num_samples)).astype(np.int16)
        extractor = transformers.Gemma4AudioFeatureExtractor()
        converter = AudioConverter("gemma4", pad_to_max_length=False)
        frames = converter.num_frames(num_samples)
        batch = {
            "input_features": converter(clip).numpy()[None],
            "num_frames": np.array([frames]),
            "num_samples": np.array([num_samples]),
        }
        inputs = model_inputs(batch, "transformers/gemma4")
        theirs = extractor([as_floats(clip)], sampling_rate=RATE, return_tensors="pt")
        assert inputs["input_features"].shape == theirs["input_features"].shape
        with torch.no_grad():
            found, expected = (gemma4(**of).last_hidden_state.numpy() for of in (inputs, theirs))
        tokens = converter.num_audio_tokens(num_samples)
        np.testing.assert_allclose(found[:, :tokens], expected[:, :tokens], **CLOSE)

    @pytest.mark.parametrize("way", STORED)
    def test_gemma3n(self, torch, stored, clips, way):
        config = transformers.Gemma3nAudioConfig(
            hidden_size=32, conf_num_hidden_layers=2, conf_num_attention_heads=4, sscp_conv_channel_size=(8, 4)
        )
        torch.manual_seed(1)
        encoder = transformers.models.gemma3n.modeling_gemma3n.Gemma3nAudioEncoder(config).eval()
        extractor = transformers.Gemma3nAudioFeatureExtractor()
        batch, _ = stored("gemma3n", way)
        inputs = model_inputs(batch, "transformers/gemma3n")

        def encoded(input_features, input_features_mask):
            with torch.no_grad():  # as the model calls it, with the inverse of its own mask
                output = encoder(input_features, ~input_features_mask.bool())
            return output.last_hidden_state.numpy(), ~output.audio_mel_mask.numpy()

        found, valid = encoded(**inputs)
        alone = [extractor([as_floats(clip)], sampling_rate=RATE, return_tensors="np") for clip in clips]
        features, masks = (torch.from_numpy(part) for part in joined(alone))
        hidden, _ = encoded(
            *(self.with_rows(part, inputs["input_features"].shape[1]) for part in (features, masks))
        )
        assert_valid_rows_agree(found, [row[is_valid] for row, is_valid in zip(hidden, valid, strict=True)])

    @staticmethod
    def with_rows(part, rows):
        """A batch with zeros up to so many frames, as a folder of padded clips has."""
        import torch

        padding = torch.zeros((len(part), rows - part.shape[1], *part.shape[2:]), dtype=part.dtype)
        return torch.cat([part, padding], dim=1)

    @pytest.mark.parametrize("way", ["bytes", "float_list", "padded"])
    def test_whisper(self, torch, stored, clips, way):
        config = transformers.WhisperConfig(
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
        )
        torch.manual_seed(1)
        encoder = transformers.WhisperModel(config).eval().encoder
        extractor = transformers.WhisperFeatureExtractor()
        batch, _ = stored("whisper", way)
        inputs = model_inputs(batch, "transformers/whisper")
        assert set(inputs) == {"input_features"}
        theirs = extractor([as_floats(clip) for clip in clips], sampling_rate=RATE, return_tensors="pt")
        with torch.no_grad():
            found, expected = (
                encoder(of).last_hidden_state.numpy()
                for of in (inputs["input_features"], theirs["input_features"])
            )
        assert_valid_rows_agree(found, expected)

    @pytest.fixture(scope="class")
    def tokenizer(self):
        tokenizers = pytest.importorskip("tokenizers")
        words = [
            "<pad>",
            "<bos>",
            "<eos>",
            "<unk>",
            "the",
            "quick",
            "fox",
            "say",
            "it",
            "<|audio>",
            "<|audio|>",
            "<audio|>",
        ]
        model = tokenizers.models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>")
        backend = tokenizers.Tokenizer(model)
        backend.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
        return transformers.PreTrainedTokenizerFast(
            tokenizer_object=backend,
            bos_token="<bos>",
            eos_token="<eos>",
            pad_token="<pad>",
            unk_token="<unk>",
            extra_special_tokens={"boa_token": "<|audio>", "audio_token": "<|audio|>", "eoa_token": "<audio|>"},
        )

    def test_gemma4_with_its_text(self, torch, tokenizer, stored, clips):
        text = transformers.Gemma4TextConfig(
            vocab_size=12,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            global_head_dim=8,
            vocab_size_per_layer_input=12,
            hidden_size_per_layer_input=4,
            num_kv_shared_layers=0,
            layer_types=["sliding_attention", "full_attention"],
        )
        audio = transformers.Gemma4AudioConfig(
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=4,
            subsampling_conv_channels=[128, 4],
            output_proj_dims=32,
        )
        config = transformers.Gemma4Config(
            text_config=text,
            audio_config=audio,
            vision_config=None,
            audio_token_id=10,
            boa_token_id=9,
            eoa_token_id=11,
            image_token_id=3,
            video_token_id=3,
        )
        torch.manual_seed(1)
        model = transformers.Gemma4ForConditionalGeneration(config).eval()
        batch, _ = stored("gemma4", "bytes")
        inputs = model_inputs(
            batch,
            "transformers/gemma4",
            tokenizer=tokenizer,
            prompts="say <audio> it",
            responses=batch["text"].numpy(),
        )
        counts = batch["num_audio_tokens"].numpy()
        np.testing.assert_array_equal((inputs["input_ids"] == 10).sum(axis=1), counts)
        first = inputs["input_ids"][2].numpy()
        n = int(counts[2])
        assert first[: n + 5].tolist() == [1, 7, 9, *[10] * n, 11, 8]
        assert first[n + 5 : n + 9].tolist() == [4, 5, 6, 2]
        assert inputs["labels"][2][n + 5 : n + 9].tolist() == [4, 5, 6, 2]
        assert (inputs["labels"] != -100).sum() == 4 * len(clips)
        loss = model(**inputs).loss
        assert torch.isfinite(loss)
        loss.backward()
        alone, _ = stored("gemma4", "bytes")
        one = {name: value[2:3] for name, value in alone.items()}
        of_one = model_inputs(one, "transformers/gemma4", tokenizer=tokenizer, prompts="say <audio> it")
        assert "labels" not in of_one
        inputs.pop("labels")
        with torch.no_grad():
            logits, expected = model(**inputs).logits[2], model(**of_one).logits[0]
        np.testing.assert_allclose(logits[: len(expected)], expected, **CLOSE)

    def test_whisper_with_its_text(self, torch, tokenizer, stored):
        batch, _ = stored("whisper", "bytes")
        inputs = model_inputs(
            batch,
            "transformers/whisper",
            tokenizer=tokenizer,
            prompts="<bos> say",
            responses=batch["text"].numpy(),
        )
        assert inputs["decoder_input_ids"][0].tolist() == [1, 7, 4, 5, 6]
        assert inputs["labels"][0].tolist() == [-100, 4, 5, 6, 2]


# --------------------------------------------------------------------------------------------------- keras-hub


class TestKerasHub:
    @pytest.fixture(scope="class", autouse=True)
    def keras_hub(self):
        keras_hub = pytest.importorskip("keras_hub", reason="keras-hub is there in `make parity` only")
        if not hasattr(keras_hub.layers, "Gemma3nAudioConverter"):
            pytest.skip("keras-hub 0.27 has other models")
        import keras

        keras.utils.set_random_seed(1)
        return keras_hub

    @pytest.mark.parametrize("way", STORED)
    def test_gemma4(self, stored, clips, way):
        from keras_hub.src.models.gemma4.gemma4_audio_encoder import Gemma4AudioEncoder

        encoder = Gemma4AudioEncoder(
            hidden_size=32,
            num_heads=4,
            num_layers=2,
            sscp_conv_channels=(128, 4),
            output_proj_dims=16,
            output_dim=16,
        )
        extractor = transformers.Gemma4AudioFeatureExtractor()
        batch, _ = stored("gemma4", way)
        inputs = model_inputs(batch, "keras_hub/gemma4")
        assert inputs["audio_mel"].shape[:2] == (len(clips), 1)
        found = np.asarray(encoder(inputs["audio_mel"], tf.cast(inputs["audio_mel_mask"], tf.bool)))[:, 0]
        expected = []
        for clip, tokens in zip(clips, batch["num_audio_tokens"].numpy(), strict=True):
            alone = extractor(
                [as_floats(clip)],
                sampling_rate=RATE,
                return_tensors="np",
                padding="max_length",
                max_length=30 * RATE,
            )
            features, mask = alone["input_features"], alone["input_features_mask"].astype(bool)
            expected.append(np.asarray(encoder(features[:, None], mask[:, None]))[0, 0, :tokens])
        assert_valid_rows_agree(found, expected)

    @pytest.mark.parametrize("way", STORED)
    def test_gemma3n(self, stored, clips, way):
        from keras_hub.src.models.gemma3n.gemma3n_audio_encoder import Gemma3nAudioEncoder

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
        extractor = transformers.Gemma3nAudioFeatureExtractor()
        batch, _ = stored("gemma3n", way)
        inputs = model_inputs(batch, "keras_hub/gemma3n")
        # As the model's embedding calls it: with the mask as it is given.
        hidden, padding = encoder((inputs["input_features"][:, 0], inputs["input_features_mask"][:, 0]))
        alone = [extractor([as_floats(clip)], sampling_rate=RATE, return_tensors="np") for clip in clips]
        features, masks = joined(alone)
        missing = inputs["input_features"].shape[2] - features.shape[1]
        features, masks = np.pad(features, ((0, 0), (0, missing), (0, 0))), np.pad(masks, ((0, 0), (0, missing)))
        expected, _ = encoder((tf.constant(features), tf.constant(~masks)))
        valid = ~np.asarray(padding)
        expected = [row[is_valid] for row, is_valid in zip(np.asarray(expected), valid, strict=True)]
        # keras-hub's weights begin larger: the extractor's float32, 1e-4 off in the speech's quiet bins, shows.
        assert_valid_rows_agree(np.asarray(hidden)[:1], expected[:1], rtol=0, atol=1e-4)
        assert_valid_rows_agree(np.asarray(hidden)[1:], expected[1:])

    @pytest.mark.parametrize("way", ["bytes", "float_list", "padded"])
    def test_whisper(self, keras_hub, stored, clips, way):
        backbone = keras_hub.models.WhisperBackbone(
            vocabulary_size=12, num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32
        )
        batch, _ = stored("whisper", way)
        text = {name: tf.ones((len(clips), 3), tf.int32) for name in ("decoder_token_ids", "decoder_padding_mask")}
        theirs = keras_hub.layers.WhisperAudioConverter()
        padded = np.zeros((len(clips), max(map(len, clips))), np.float32)
        for row, clip in zip(padded, clips, strict=True):
            row[: len(clip)] = as_floats(clip)
        found = backbone({**model_inputs(batch, "keras_hub/whisper"), **text})
        expected = backbone({"encoder_features": theirs(padded), **text})
        assert_valid_rows_agree(*(np.asarray(output["encoder_sequence_output"]) for output in (found, expected)))

    def test_gemma4_with_its_text_is_what_its_preprocessor_makes(self, keras_hub, stored, clips):
        mocks = pytest.importorskip("keras_hub.src.tests.mocks.mock_gemma4_tokenizer")
        tokenizer = mocks.MockGemma4Tokenizer()
        names = {
            "start_of_audio_token": "<|audio>",
            "audio_placeholder": "<|audio|>",
            "end_of_audio_token": "<audio|>",
        }
        for name, token in names.items():  # as keras-hub's own has them
            tokenizer._add_special_token(token, name)
        batch, _ = stored("gemma4", "bytes")
        count = int(batch["num_audio_tokens"][0])
        one = {name: value[:1] for name, value in batch.items()}
        inputs = model_inputs(
            one, "keras_hub/gemma4", tokenizer=tokenizer, prompts="the <audio> fox", responses=["quick"]
        )
        labels, weights = inputs.pop("labels"), inputs.pop("sample_weight")
        preprocessor = keras_hub.models.Gemma4CausalLMPreprocessor(
            tokenizer=tokenizer,
            image_converter=None,
            audio_converter=keras_hub.layers.Gemma4AudioConverter(mel_floor=1e-3),
            sequence_length=len(inputs["token_ids"][0]),
        )
        given = {
            "prompts": tf.constant([f"the <|audio>{'<|audio|>' * count}<audio|> fox"]),
            "responses": tf.constant(["quick"]),
            "audio_mel": inputs["audio_mel"],
            "audio_mel_mask": inputs["audio_mel_mask"],
        }
        theirs, their_labels, their_weights = preprocessor(given)
        assert set(inputs) <= set(theirs)
        assert not {name for name in set(theirs) - set(inputs) if not name.startswith(("pixel_", "vision_"))}
        for name, value in inputs.items():
            np.testing.assert_array_equal(np.asarray(value), np.asarray(theirs[name]), err_msg=name)
        np.testing.assert_array_equal(labels, their_labels)
        np.testing.assert_array_equal(weights, np.asarray(their_weights).astype(np.float32))

    def test_in_a_dataset(self, stored):
        _, folder = stored("gemma4", "bytes")
        dataset = read_features(folder, batch_size=4).map(lambda batch: model_inputs(batch, "keras_hub/gemma4"))
        eagerly = model_inputs(next(iter(read_features(folder, batch_size=4))), "keras_hub/gemma4")
        for name, value in next(iter(dataset)).items():
            np.testing.assert_array_equal(value, eagerly[name])


def test_arrays_of_every_kind_give_the_same(stored):
    batch, folder = stored("gemma4", "bytes")
    numpy = {name: value.numpy() for name, value in batch.items()}
    found = [model_inputs(given, "keras_hub/gemma4") for given in (batch, numpy)]
    for name in found[0]:
        np.testing.assert_array_equal(found[0][name], found[1][name])
        assert found[0][name].dtype.name == found[1][name].dtype.name
    assert len(FeatureSource(folder)) == len(numpy["id"])
