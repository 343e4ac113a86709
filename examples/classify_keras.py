"""Trains a small classifier of sounds on stored features, with Keras.

    python examples/classify_keras.py --train=train.csv --test=test.csv --features=features/1.0.0

A manifest has the columns file and label. Without any, this program makes sounds of four kinds, of random pitch,
length and loudness, in noise, and learns to tell them apart.
"""

import argparse
import csv
from pathlib import Path

import keras
import numpy as np
import soundfile

from melbeam.pipelines import extract
from melbeam.transforms import FeatureSource, read_features

RATE = 16000
KINDS = ("rising", "falling", "steady", "pulsed")


def make_sounds(folder: Path, split: str, count: int, seed: int) -> Path:
    """Writes so many WAV files and their manifest; gives the manifest."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / f"{split}.csv"
    with manifest.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "label"])
        for number in range(count):
            kind = KINDS[number % len(KINDS)]
            seconds = np.arange(int(RATE * random.uniform(0.5, 1.0))) / RATE
            slope = {"rising": 1, "falling": -1}.get(kind, 0) * random.uniform(1000, 2000)
            tone = np.sin(2 * np.pi * (random.uniform(2500, 4000) + slope * seconds / 2) * seconds)
            if kind == "pulsed":
                tone *= np.sin(2 * np.pi * random.uniform(5, 10) * seconds) > 0
            sound = random.uniform(0.02, 0.2) * tone + 0.02 * random.standard_normal(len(seconds))
            soundfile.write(folder / f"{split}-{number:03}.wav", sound, RATE)
            rows.writerow([f"{split}-{number:03}.wav", kind])
    return manifest


def classifier(num_mels: int, num_labels: int) -> keras.Model:
    """Convolutions over frames and mel bins; then the strongest bin, and the mean of the clip's own frames."""
    features = keras.Input((None, num_mels), name="input_features")
    mask = keras.Input((None,), dtype="bool", name="input_features_mask")
    x = keras.layers.BatchNormalization(momentum=0.9)(features)
    x = keras.ops.expand_dims(x, -1)
    for _ in range(2):
        x = keras.layers.Conv2D(16, 5, strides=(1, 2), padding="same", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling1D()(keras.ops.max(x, axis=2), mask=mask)
    return keras.Model([features, mask], keras.layers.Dense(num_labels)(x))


def main() -> None:
    """Runs all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", help="manifest; none: sounds are made")
    parser.add_argument("--test", help="manifest of other clips, on which the classifier is judged")
    parser.add_argument("--features", required=True, help="folder of the features, read if it is there already")
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()

    # Features, once: both splits in one folder. A second run finds them done.
    sounds = Path(arguments.features).parent / "sounds"
    train = arguments.train or make_sounds(sounds, "train", 160, seed=1)
    test = arguments.test or make_sounds(sounds, "test", 80, seed=2)
    for split, manifest in (("train", train), ("test", test)):
        if status := extract.main([f"--input={manifest}", f"--output={arguments.features}", f"--split={split}"]):
            raise SystemExit(status)

    source = FeatureSource(arguments.features, "train", features=["label"])
    labels = sorted({clip["label"] for clip in source})
    to_number = keras.layers.StringLookup(vocabulary=[label.decode() for label in labels], num_oov_indices=0)

    def to_train(batch):
        inputs = {name: batch[name] for name in ("input_features", "input_features_mask")}
        return inputs, to_number(batch["label"])

    def batches(split, **options):
        return read_features(arguments.features, split, batch_size=8, mask=True, **options).map(to_train)

    keras.utils.set_random_seed(1)
    model = classifier(source.front_end.num_mels, len(labels))
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,  # batches differ in length, and XLA would compile each anew
    )
    history = model.fit(batches("train", shuffle=True, seed=1), epochs=arguments.epochs, shuffle=False, verbose=2)
    _, accuracy = model.evaluate(batches("test"), verbose=0)
    print(f"loss: {history.history['loss'][0]:.3f} -> {history.history['loss'][-1]:.3f}")
    print(f"accuracy: {accuracy:.3f} on clips that it was not trained on; by chance {1 / len(labels):.3f}")


if __name__ == "__main__":
    main()
