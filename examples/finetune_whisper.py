"""Fine-tunes Whisper, with transformers and PyTorch's DataLoader over stored features.

    python examples/finetune_whisper.py --clips=clips/transcripts.csv --features=features/1.0.0 \\
        --model=openai/whisper-small --epochs=3

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
from melbeam.transforms.torch_data import Collate

CLIPS = resources.files("melbeam.pipelines.demo_clips") / "transcripts.csv"
MODEL = "transformers/whisper"
SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>", "<unk>"]
PROMPT = "<|startoftranscript|><|en|><|transcribe|><|notimestamps|>"


def tiny_whisper(texts: list[str]) -> tuple[transformers.PreTrainedModel, transformers.PreTrainedTokenizerBase]:
    """A random Whisper of 0.2 million weights, and a tokenizer of the texts' letters."""
    words = [*SPECIAL, *sorted(set("".join(texts)))]
    letters = tokenizers.models.WordLevel({word: number for number, word in enumerate(words)}, "<unk>")
    backend = tokenizers.Tokenizer(letters)
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    backend.decoder = tokenizers.decoders.Fuse()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=SPECIAL[1:5],
    )
    config = transformers.WhisperConfig(
        vocab_size=len(words),
        d_model=64,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        max_target_positions=128,
        init_std=0.1,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=1,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    return transformers.WhisperForConditionalGeneration(config), tokenizer


def main() -> None:
    """Runs all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", default=str(CLIPS), help="a manifest, or whatever melbeam extract reads")
    parser.add_argument("--features", required=True, help="folder of the features, read if it is there already")
    parser.add_argument("--front_end", default="whisper", help="whisper_large_v3 for large-v3 and turbo")
    parser.add_argument("--model", help="on Hugging Face, or a folder; none: tiny and random")
    parser.add_argument("--epochs", type=int, default=80)
    arguments = parser.parse_args()

    # Features, once, in a process of its own: here is no TensorFlow. A second run finds them done.
    options = [
        f"--input={arguments.clips}",
        f"--output={arguments.features}",
        f"--front_end={arguments.front_end}",
    ]
    extract = [sys.executable, "-m", "melbeam.pipelines.extract", *options]
    subprocess.run([*extract, "--require=text", "--on_long=truncate"], check=True)
    source = FeatureSource(arguments.features, front_end=arguments.front_end)

    # The model.
    torch.manual_seed(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if arguments.model:
        tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.model)
        model = transformers.WhisperForConditionalGeneration.from_pretrained(arguments.model)
        learning_rate = 1e-5
    else:
        model, tokenizer = tiny_whisper([clip["text"].decode() for clip in source])
        learning_rate = 5e-3
        torch.set_num_threads(1)  # of something so small, more of them only wait for one another
    model.to(device)
    hears = {"tokenizer": tokenizer, "prompts": PROMPT}

    def on_device(inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: tensor.to(device) for name, tensor in inputs.items()}

    # Training. Whisper hears 30 seconds of every clip, so there are no lengths to sort by.
    loader = DataLoader(
        source,
        batch_size=4,
        shuffle=True,
        collate_fn=Collate(source.front_end),
        num_workers=2,
        persistent_workers=True,
    )
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate)
    losses = []
    model.train()
    for epoch in range(arguments.epochs):
        total = 0.0
        for batch in loader:
            inputs = model_inputs(batch, MODEL, responses=batch["text"], **hears)
            loss = model(**on_device(inputs)).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total / len(loader))
        print(f"epoch {epoch + 1}: loss {losses[-1]:.3f}")

    # What it hears now.
    model.eval()
    for batch in DataLoader(source, batch_size=4, collate_fn=Collate(source.front_end)):
        inputs = on_device(model_inputs(batch, MODEL, **hears))
        found = model.generate(**inputs, max_new_tokens=64, do_sample=False)
        said = tokenizer.batch_decode(found, skip_special_tokens=True)
        for text, heard in zip(batch["text"], said, strict=True):
            print(f"{text.decode()!r} was heard as {heard!r}")
    print(f"loss: {losses[0]:.3f} -> {losses[-1]:.3f}")


if __name__ == "__main__":
    main()
