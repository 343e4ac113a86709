"""Fine-tunes Gemma 4 to write down what is said, with Keras: clips -> features, once -> fit -> generate.

    python examples/finetune_gemma4_keras.py --clips=clips/transcripts.csv --features=features/1.0.0 \\
        --preset=gemma4_2b --epochs=3

Without --preset the model is tiny and random, and learns the package's spoken clips by heart: it shows that all
fits together, in a minute on a CPU. Needs keras-hub and sentencepiece.
"""

import argparse
import io
from importlib import resources

import keras
import keras_hub
import tensorflow as tf

from melbeam.pipelines import extract
from melbeam.transforms import FeatureSource, model_inputs, read_features

CLIPS = resources.files("melbeam.pipelines.demo_clips") / "transcripts.csv"
MODEL = "keras_hub/gemma4"
PROMPT = "<audio>Transcript: "  # the clip goes where it says <audio>


def tiny_gemma(texts: list[str]) -> keras_hub.models.Gemma4CausalLM:
    """A random Gemma 4 of 0.2 million weights, with a tokenizer made of the texts."""
    import sentencepiece

    proto = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([PROMPT, *texts]),
        model_writer=proto,
        model_type="char",
        vocab_size=100,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        bos_piece="<bos>",
        eos_piece="<eos>",
        user_defined_symbols=["<|audio>", "<|audio|>", "<audio|>", "<turn|>"],
        minloglevel=2,
    )
    tokenizer = keras_hub.models.Gemma4Tokenizer(
        proto.getvalue(), has_audio_tokens=True, has_vision_tokens=False, has_video_tokens=False
    )
    audio_encoder = keras_hub.models.Gemma4AudioEncoder(
        hidden_size=64,
        num_heads=4,
        num_layers=2,
        sscp_conv_channels=(32, 16),
        output_proj_dims=64,
        output_dim=64,
    )
    backbone = keras_hub.models.Gemma4Backbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        image_size=16,
        num_layers=2,
        num_query_heads=4,
        num_key_value_heads=2,
        hidden_dim=64,
        intermediate_dim=128,
        head_dim=16,
        audio_encoder=audio_encoder,
    )
    preprocessor = keras_hub.models.Gemma4CausalLMPreprocessor(tokenizer, audio_input_feat_size=128)
    return keras_hub.models.Gemma4CausalLM(preprocessor, backbone)


def main() -> None:
    """Runs all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", default=str(CLIPS), help="a manifest, or whatever melbeam extract reads")
    parser.add_argument("--features", required=True, help="folder of the features, read if it is there already")
    parser.add_argument("--preset", help="of keras-hub: gemma4_2b, gemma4_instruct_4b, ...; none: tiny and random")
    parser.add_argument("--epochs", type=int, default=30)
    arguments = parser.parse_args()

    # Features, once: a second run finds them done. A preset's name is a front end's, too.
    front_end = arguments.preset or "gemma4"
    options = [f"--input={arguments.clips}", f"--output={arguments.features}", f"--front_end={front_end}"]
    if status := extract.main([*options, "--require=text", "--on_long=truncate"]):
        raise SystemExit(status)

    # The model.
    keras.utils.set_random_seed(1)
    if arguments.preset:
        gemma = keras_hub.models.Gemma4CausalLM.from_preset(arguments.preset, dtype="bfloat16")
        gemma.backbone.enable_lora(rank=8)
        learning_rate = 1e-4
    else:
        source = FeatureSource(arguments.features, features=["text"])
        gemma = tiny_gemma([clip["text"].decode() for clip in source])
        learning_rate = 3e-3
    tokenizer = gemma.preprocessor.tokenizer
    gemma.preprocessor = None  # melbeam makes the inputs
    hears = {"tokenizer": tokenizer, "prompts": PROMPT, "backbone": gemma.backbone}

    # Training: batches of clips of about the same length. XLA would compile each length anew.
    def to_train(batch):
        inputs = model_inputs(batch, MODEL, responses=batch["text"], **hears)
        return inputs, inputs.pop("labels"), inputs.pop("sample_weight")

    batches = read_features(arguments.features, front_end=front_end, bucket_by_frames=3000, shuffle=True, seed=1)
    gemma.compile(optimizer=keras.optimizers.AdamW(learning_rate), jit_compile=False, sampler="greedy")
    history = gemma.fit(batches.map(to_train).prefetch(2), epochs=arguments.epochs, shuffle=False, verbose=2)

    # What it hears now.
    for batch in read_features(arguments.features, front_end=front_end, batch_size=4):
        inputs = model_inputs(batch, MODEL, new_tokens=64, **hears)
        found = gemma.generate(inputs, stop_token_ids=[tokenizer.end_token_id])
        prompt_lengths = tf.reduce_sum(tf.cast(inputs["padding_mask"], tf.int32), axis=1)
        for ids, mask, begin, text in zip(
            found["token_ids"], found["padding_mask"], prompt_lengths, batch["text"].numpy(), strict=True
        ):
            said = tokenizer.detokenize(ids[begin:][mask[begin:]])
            print(f"{text.decode()!r} was heard as {said!r}")
    print(f"loss: {history.history['loss'][0]:.3f} -> {history.history['loss'][-1]:.3f}")


if __name__ == "__main__":
    main()
