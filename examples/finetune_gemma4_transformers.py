"""Fine-tunes Gemma 4 to write down what is said, with transformers and PyTorch's DataLoader over stored features.

    python examples/finetune_gemma4_transformers.py --clips=clips/transcripts.csv --features=features/1.0.0 \\
        --model=google/gemma-4-E2B --epochs=3

Without --model it is tiny and random, and learns the package's spoken clips by heart: it shows that all fits
together, in a minute on a CPU. Needs transformers and PyTorch.
"""

import argparse
import subprocess
import sys
from importlib import resources

import tokenizers
import torch
import transformers
from torch.utils.data import DataLoader

from melbeam.transforms import FeatureSource, model_inputs
from melbeam.transforms.torch_data import BucketBatchSampler, Collate

CLIPS = resources.files("melbeam.pipelines.demo_clips") / "transcripts.csv"
MODEL = "transformers/gemma4"
PROMPT = "<audio>Transcript: "  # the clip goes where it says <audio>
SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<|audio>", "<|audio|>", "<audio|>", "<|image|>"]


def tiny_gemma(texts: list[str]) -> tuple[transformers.PreTrainedModel, transformers.PreTrainedTokenizerBase]:
    """A random Gemma 4 of 0.2 million weights, and a tokenizer of the texts' letters."""
    words = [*SPECIAL, *sorted(set(PROMPT.join(texts)))]
    letters = tokenizers.models.WordLevel({word: number for number, word in enumerate(words)}, "<unk>")
    backend = tokenizers.Tokenizer(letters)
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    backend.decoder = tokenizers.decoders.Fuse()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        unk_token="<unk>",
        extra_special_tokens={"boa_token": "<|audio>", "audio_token": "<|audio|>", "eoa_token": "<audio|>"},
        padding_side="left",
    )
    text = transformers.Gemma4TextConfig(
        vocab_size=len(words),
        vocab_size_per_layer_input=len(words),
        hidden_size=64,
        hidden_size_per_layer_input=16,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_kv_shared_layers=0,
        head_dim=16,
        global_head_dim=16,
        layer_types=["sliding_attention", "full_attention"],
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    audio = transformers.Gemma4AudioConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        subsampling_conv_channels=[128, 4],
        output_proj_dims=64,
    )
    config = transformers.Gemma4Config(
        text_config=text,
        audio_config=audio,
        vision_config=None,
        boa_token_id=4,
        audio_token_id=5,
        eoa_token_id=6,
        image_token_id=7,
        video_token_id=7,
    )
    return transformers.Gemma4ForConditionalGeneration(config), tokenizer


def main() -> None:
    """Runs all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", default=str(CLIPS), help="a manifest, or whatever melbeam extract reads")
    parser.add_argument("--features", required=True, help="folder of the features, read if it is there already")
    parser.add_argument("--model", help="on Hugging Face, or a folder; none: tiny and random")
    parser.add_argument("--epochs", type=int, default=35)
    arguments = parser.parse_args()

    # Features, once, in a process of its own: here is no TensorFlow. A second run finds them done.
    options = [f"--input={arguments.clips}", f"--output={arguments.features}", "--require=text"]
    extract = [sys.executable, "-m", "melbeam.pipelines.extract", *options, "--on_long=truncate"]
    subprocess.run(extract, check=True)
    source = FeatureSource(arguments.features, front_end="gemma4")

    # The model.
    torch.manual_seed(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if arguments.model:
        tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.model)
        model = transformers.Gemma4ForConditionalGeneration.from_pretrained(arguments.model, dtype="bfloat16")
        learning_rate = 1e-5
    else:
        model, tokenizer = tiny_gemma([clip["text"].decode() for clip in source])
        learning_rate = 1e-2
        torch.set_num_threads(1)  # of something so small, more of them only wait for one another
    model.to(device)
    hears = {"tokenizer": tokenizer, "prompts": PROMPT}

    def on_device(inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: x.to(device, model.dtype if x.is_floating_point() else None) for name, x in inputs.items()}

    # Training: batches of clips of about the same length, read by two processes.
    sampler = BucketBatchSampler(source.num_frames, most_frames=3000, shuffle=True, seed=1)
    collate = Collate(source.front_end)
    loader = DataLoader(source, batch_sampler=sampler, collate_fn=collate, num_workers=2, persistent_workers=True)
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate)
    losses = []
    model.train()
    for epoch in range(arguments.epochs):
        sampler.set_epoch(epoch)
        total = 0.0
        for batch in loader:
            inputs = model_inputs(batch, MODEL, responses=batch["text"], **hears)
            loss = model(**on_device(inputs)).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total / len(sampler))
        print(f"epoch {epoch + 1}: loss {losses[-1]:.3f}")

    # What it hears now.
    model.eval()
    for batch in DataLoader(source, batch_size=4, collate_fn=collate):
        inputs = on_device(model_inputs(batch, MODEL, **hears))
        found = model.generate(**inputs, max_new_tokens=64, do_sample=False)
        said = tokenizer.batch_decode(found[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for text, heard in zip(batch["text"], said, strict=True):
            print(f"{text.decode()!r} was heard as {heard!r}")
    print(f"loss: {losses[0]:.3f} -> {losses[-1]:.3f}")


if __name__ == "__main__":
    main()
