"""Stored features in the models that they are for: outputs against those of the reference's own preprocessing.

The models are tiny and random; of their encoders alone is test_encoders.py. `make test-models` runs this; `make
parity` runs keras-hub's, for it installs no PyTorch.
"""

import numpy as np
import pytest
import tensorflow as tf
from encoders import RATE, as_floats, transformers_gemma4_encoder

from melbeam.transforms import AudioConverter, FeatureSource, Gemma3nAudioConverter, model_inputs, read_features

transformers = pytest.importorskip("transformers", reason="transformers is there in `make parity` only")

# The models' float32, in other shapes; the features themselves agree to 6e-5 on noise and speech.
CLOSE = {"rtol": 0, "atol": 1e-5}


def assert_are_the_preprocessors(inputs, theirs, of_images, **tolerance):
    """Inputs with labels against what keras-hub's own preprocessor makes of the same texts, types included."""
    theirs, labels, weights = theirs
    theirs = {name: value for name, value in theirs.items() if not name.startswith(of_images or "-")}
    theirs |= {"labels": labels, "sample_weight": tf.cast(weights, tf.float32)}
    assert set(inputs) == set(theirs)
    for name, value in inputs.items():
        np.testing.assert_allclose(
            np.asarray(value), np.asarray(theirs[name]), **(tolerance or {"rtol": 0}), err_msg=name
        )
        assert np.asarray(value).dtype == np.asarray(theirs[name]).dtype, name


# ------------------------------------------------------------------------------------------------ transformers


class TestTransformers:
    @pytest.fixture(scope="class", autouse=True)
    def torch(self):
        torch = pytest.importorskip("torch", reason="transformers' models need PyTorch, which is not installed")
        torch.manual_seed(1)
        return torch

    @pytest.fixture(scope="class")
    def gemma4(self, torch):
        return transformers_gemma4_encoder()

    def test_gemma4s_mask(self, stored, clips):
        extractor = transformers.Gemma4AudioFeatureExtractor()
        batch, _ = stored("gemma4", "bytes")
        inputs = model_inputs(batch, "transformers/gemma4")
        assert set(inputs) == {"input_features", "input_features_mask"}
        theirs = extractor([as_floats(clip) for clip in clips], sampling_rate=RATE, return_tensors="pt")
        rows = theirs["input_features_mask"].shape[1]
        np.testing.assert_array_equal(inputs["input_features_mask"][:, :rows], theirs["input_features_mask"])

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

    def test_gemma4_with_its_text_is_what_its_preprocessor_makes(self, keras_hub, gemma4_tokenizer, stored):
        batch, _ = stored("gemma4", "bytes")
        count = int(batch["num_audio_tokens"][0])
        one = {name: value[:1] for name, value in batch.items()}
        texts = {"tokenizer": gemma4_tokenizer, "prompts": "the <audio> fox", "responses": ["quick"]}
        inputs = model_inputs(one, "keras_hub/gemma4", **texts)
        preprocessor = keras_hub.models.Gemma4CausalLMPreprocessor(
            tokenizer=gemma4_tokenizer,
            image_converter=None,
            audio_converter=keras_hub.layers.Gemma4AudioConverter(mel_floor=1e-3),
            sequence_length=len(inputs["token_ids"][0]),
        )
        theirs = preprocessor(
            {
                "prompts": tf.constant([f"the <|audio>{'<|audio|>' * count}<audio|> fox"]),
                "responses": tf.constant(["quick"]),
                "audio_mel": inputs["audio_mel"],
                "audio_mel_mask": inputs["audio_mel_mask"],
            }
        )
        assert_are_the_preprocessors(inputs, theirs, ("pixel_", "vision_"))

    def test_gemma4_that_sees_images_too(self, keras_hub, gemma4_tokenizer, stored):
        """As the published presets do: the inputs of no image come with the others, and change nothing."""
        vision = keras_hub.models.Gemma4VisionEncoder(
            image_size=16,
            patch_size=4,
            pool_size=2,
            num_layers=1,
            num_heads=2,
            hidden_dim=8,
            num_key_value_heads=2,
            intermediate_dim=16,
            head_dim=4,
            output_dim=32,
        )
        seeing, hearing = (self.gemma4(keras_hub, gemma4_tokenizer, vision_encoder=of) for of in (vision, None))
        batch, folder = stored("gemma4", "bytes")
        texts = {"tokenizer": gemma4_tokenizer, "prompts": "the <audio> fox", "responses": batch["text"]}
        inputs = model_inputs(batch, "keras_hub/gemma4", backbone=seeing.backbone, **texts)
        assert set(seeing.backbone.input) == set(inputs) - {"labels", "sample_weight"}
        logits = seeing({name: inputs[name] for name in seeing.backbone.input})
        assert np.isfinite(logits).all()
        without = model_inputs(batch, "keras_hub/gemma4", backbone=hearing.backbone, **texts)
        assert set(hearing.backbone.input) == set(without) - {"labels", "sample_weight"}
        of_vision = {id(weight) for weight in vision.weights}
        shared = [weight for weight in seeing.weights if id(weight) not in of_vision]
        for weight, theirs in zip(hearing.weights, shared, strict=True):
            weight.assign(theirs)
        np.testing.assert_allclose(
            hearing({name: without[name] for name in hearing.backbone.input}), logits, **CLOSE
        )
        seeing.compile(optimizer="adam", jit_compile=False)

        def to_train(batch):
            made = model_inputs(
                batch, "keras_hub/gemma4", backbone=seeing.backbone, **{**texts, "responses": batch["text"]}
            )
            return made, made.pop("labels"), made.pop("sample_weight")

        history = seeing.fit(read_features(folder, batch_size=2).map(to_train), epochs=2, verbose=0, shuffle=False)
        assert np.isfinite(history.history["loss"]).all()

    @staticmethod
    def gemma4(keras_hub, tokenizer, **options):
        encoder = keras_hub.models.Gemma4AudioEncoder(
            hidden_size=32,
            num_heads=4,
            num_layers=1,
            sscp_conv_channels=(16, 4),
            output_proj_dims=16,
            output_dim=32,
        )
        backbone = keras_hub.models.Gemma4Backbone(
            vocabulary_size=tokenizer.vocabulary_size(),
            image_size=16,
            num_layers=2,
            num_query_heads=2,
            num_key_value_heads=1,
            hidden_dim=32,
            intermediate_dim=32,
            head_dim=8,
            hidden_size_per_layer_input=4,
            audio_encoder=encoder,
            **options,
        )
        return keras_hub.models.Gemma4CausalLM(None, backbone)

    def test_gemma4_generates(self, keras_hub, gemma4_tokenizer, stored):
        """From ready inputs, a clip gets the same answer in a batch as alone."""
        import keras

        keras.utils.set_random_seed(4)  # not every random model says different things of different clips
        batch, _ = stored("gemma4", "bytes")
        model = self.gemma4(keras_hub, gemma4_tokenizer)
        model.compile(jit_compile=False, sampler="greedy")

        def answers(batch):
            inputs = model_inputs(
                batch, "keras_hub/gemma4", tokenizer=gemma4_tokenizer, prompts="the <audio> fox", new_tokens=6
            )
            lengths = np.asarray(inputs["padding_mask"]).sum(axis=1)
            assert inputs["token_ids"].shape[1] == lengths.max() + 6
            found = model.generate(inputs, stop_token_ids=None)["token_ids"]
            return [row[length : length + 6].tolist() for row, length in zip(found, lengths, strict=True)]

        together = answers(batch)
        assert len({tuple(answer) for answer in together}) > 1  # else the clips were not heard
        for number, answer in enumerate(together):
            assert answers({name: value[number : number + 1] for name, value in batch.items()}) == [answer]

    @pytest.fixture
    def gemma3n_tokenizer(self):
        mocks = pytest.importorskip("keras_hub.src.tests.mocks.mock_gemma3n_tokenizer")
        return mocks.MockGemma3nTokenizer()

    def test_gemma3n_with_its_text_is_what_its_preprocessor_makes(
        self, keras_hub, gemma3n_tokenizer, stored, clips
    ):
        batch, _ = stored("gemma3n", "bytes")
        one = {name: value[1:2] for name, value in batch.items()}
        one["input_features"] = one["input_features"][:, : int(one["num_frames"][0])]
        prompt = {"prompts": "the <audio> fox", "responses": ["quick"]}
        inputs = model_inputs(one, "keras_hub/gemma3n", tokenizer=gemma3n_tokenizer, **prompt)
        ours = Gemma3nAudioConverter().get_config()
        of_keras_hub = {
            key: value
            for key, value in ours.items()
            if key not in ("front_end", "pad_to_max_length", "precision", "max_audio_length")
        }
        preprocessor = keras_hub.models.Gemma3nCausalLMPreprocessor(
            tokenizer=gemma3n_tokenizer,
            audio_converter=keras_hub.layers.Gemma3nAudioConverter(**of_keras_hub),
            sequence_length=len(inputs["token_ids"][0]),
            max_images_per_prompt=0,
            num_vision_tokens_per_image=0,
            max_audios_per_prompt=1,
        )
        theirs = preprocessor(
            {
                "prompts": tf.constant(["the <start_of_audio> fox"]),
                "responses": tf.constant(["quick"]),
                "audios": tf.RaggedTensor.from_tensor(as_floats(clips[1])[None]),
            }
        )
        # Their features err by their own rounding, 6e-5 on noise.
        assert_are_the_preprocessors(inputs, theirs, (), rtol=0, atol=1e-4)

    def test_gemma3n_is_called(self, keras_hub, gemma3n_tokenizer, stored):
        """A clip's answer is the same alone as in a batch; the front of the model takes the mask as it is."""
        encoder = {
            "hidden_size": 16,
            "input_feat_size": 128,
            "sscp_conv_channel_size": (8, 4),
            "sscp_conv_kernel_size": ((3, 3), (3, 3)),
            "sscp_conv_stride_size": ((2, 2), (2, 2)),
            "sscp_conv_group_norm_eps": 1e-3,
            "num_hidden_layers": 1,
            "rms_norm_eps": 1e-6,
            "gradient_clipping": 1e10,
            "residual_weight": 0.5,
            "num_attention_heads": 2,
            "attention_chunk_size": 12,
            "num_attention_context_right": 0,
            "num_attention_context_left": 13,
            "attention_logit_cap": 50.0,
            "conv_kernel_size": 5,
            "reduction_factor": 4,
        }
        backbone = keras_hub.models.Gemma3nBackbone(
            text_vocab_size=gemma3n_tokenizer.vocabulary_size(),
            text_hidden_size=16,
            num_hidden_layers=1,
            pad_token_id=0,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            intermediate_size=[16],
            hidden_activation="gelu_approximate",
            layer_types=["full_attention"],
            sliding_window=512,
            rope_theta=10000.0,
            max_position_embeddings=1024,
            vocab_size_per_layer_input=gemma3n_tokenizer.vocabulary_size(),
            hidden_size_per_layer_input=4,
            altup_num_inputs=2,
            laurel_rank=1,
            audio_encoder_config=encoder,
            audio_hidden_size=16,
            audio_token_id=gemma3n_tokenizer.audio_placeholder_id,
        )
        model = keras_hub.models.Gemma3nCausalLM(None, backbone)
        batch, folder = stored("gemma3n", "bytes")
        texts = {"tokenizer": gemma3n_tokenizer, "prompts": "the <audio> fox"}
        inputs = model_inputs(batch, "keras_hub/gemma3n", **texts)
        logits = np.asarray(model(inputs))
        # Each of the 188 tokens of a clip is heard from its own frames, or is the padding's.
        longest = {name: value[:1] for name, value in batch.items()}
        alone = model_inputs(longest, "keras_hub/gemma3n", **texts)
        np.testing.assert_allclose(logits[0], np.asarray(model(alone))[0], **CLOSE)
        assert np.abs(logits[0, -1] - logits[1, -1]).max() > 1e-6  # else nothing was heard
        model.compile(optimizer="adam", jit_compile=False)

        def to_train(batch):
            made = model_inputs(batch, "keras_hub/gemma3n", responses=batch["text"], **texts)
            return made, made.pop("labels"), made.pop("sample_weight")

        history = model.fit(
            read_features(folder, front_end="gemma3n", batch_size=2).map(to_train), verbose=0, shuffle=False
        )
        assert np.isfinite(history.history["loss"]).all()

    def test_whisper_with_its_text(self, keras_hub, stored):
        backbone = keras_hub.models.WhisperBackbone(
            vocabulary_size=60, num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32
        )
        special = {
            "<|startoftranscript|>": 50,
            "<|endoftext|>": 51,
            "<|notimestamps|>": 52,
            "<|transcribe|>": 53,
            "<|translate|>": 54,
        }
        letters = {letter: number for number, letter in enumerate("abcdefghijklmnopqrstuvwxyz\u0120")}
        letters["th"] = 27
        tokenizer = keras_hub.tokenizers.WhisperTokenizer(
            vocabulary=letters, merges=["t h"], special_tokens=special, language_tokens=None
        )
        batch, _ = stored("whisper", "bytes")
        prompt = "<|startoftranscript|><|transcribe|><|notimestamps|>"
        inputs = model_inputs(
            batch, "keras_hub/whisper", tokenizer=tokenizer, prompts=prompt, responses=batch["text"]
        )
        labels, weights = inputs.pop("labels"), inputs.pop("sample_weight")
        said = [letters["th"], *(letters[letter] for letter in "e\u0120quick\u0120fox")]
        for row in range(len(labels)):
            assert inputs["decoder_token_ids"][row].numpy().tolist() == [50, 53, 52, *said]
            assert labels[row].numpy().tolist() == [53, 52, *said, 51]
            assert weights[row].numpy().tolist() == [0, 0, *[1] * len(said), 1]
        assert set(inputs) == {input.name for input in backbone.inputs}
        assert np.isfinite(backbone(inputs)["decoder_sequence_output"]).all()

    @pytest.mark.parametrize("responses", [False, True])
    def test_text_in_a_dataset(self, keras_hub, gemma4_tokenizer, stored, responses):
        """The tokenizer runs in Python there, and gives what it gives outside."""
        _, folder = stored("gemma4", "bytes")

        def inputs(batch):
            answers = {"responses": batch["text"]} if responses else {"new_tokens": 3}
            return model_inputs(
                batch, "keras_hub/gemma4", tokenizer=gemma4_tokenizer, prompts="the <audio> fox", **answers
            )

        found = next(iter(read_features(folder, batch_size=4).map(inputs)))
        expected = inputs(next(iter(read_features(folder, batch_size=4))))
        assert set(found) == set(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)
            assert found[name].dtype == value.dtype

    @pytest.fixture
    def gemma4_tokenizer(self):
        mocks = pytest.importorskip("keras_hub.src.tests.mocks.mock_gemma4_tokenizer")
        return mocks.MockGemma4Tokenizer()

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
