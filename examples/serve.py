"""A SavedModel that takes whole 16-bit WAV files and gives the features that a model was trained on.

    python examples/serve.py --front_end=gemma4 --output=served/1

Whatever loads a SavedModel takes it, TensorFlow Serving for example. Its signature `serving_default` has `wav`, a
batch of WAV files as bytes, of one channel, at the front end's rate. It gives `input_features`, `[batch, frames,
mels]`, with zeros behind each clip, or the full length where the model takes that, and `num_frames` `[batch]`.
"""

import argparse
import tempfile

import tensorflow as tf

from melbeam.transforms import AudioConverter


class WavToFeatures(tf.Module):
    """WAV files to features, by the converter's own exported graph."""

    def __init__(self, front_end: str) -> None:
        super().__init__()
        converter = AudioConverter(front_end)
        self._takes_full_length = converter.front_end.takes_full_length
        if not self._takes_full_length:
            converter = AudioConverter(front_end, pad_to_max_length=False)
        self._rate = converter.front_end.sampling_rate
        with tempfile.TemporaryDirectory() as folder:
            converter.export(folder)
            self._model = tf.saved_model.load(folder)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="wav")])
    def serve(self, wav: tf.Tensor) -> dict[str, tf.Tensor]:
        """The features of a batch of files.

        Raises:
            tf.errors.InvalidArgumentError: a file is no 16-bit WAV of one channel at the front end's rate.
        """
        clips = tf.map_fn(self._decode, wav, fn_output_signature=tf.RaggedTensorSpec([None], tf.float32))
        lengths = tf.cast(clips.row_lengths(), tf.int32)
        found = self._model.signatures["with_lengths"](audio=clips.to_tensor(), lengths=lengths)
        features, frames = found["input_features"], found["num_frames"]
        if not self._takes_full_length:
            valid = tf.sequence_mask(frames, tf.shape(features)[1])[..., tf.newaxis]
            features = tf.where(valid, features, 0.0)
        return {"input_features": features, "num_frames": frames}

    def _decode(self, wav: tf.Tensor) -> tf.Tensor:
        samples, rate = tf.audio.decode_wav(wav)
        checks = [
            tf.debugging.assert_equal(
                rate, self._rate, f"a WAV must have the rate of the front end, {self._rate} Hz"
            ),
            tf.debugging.assert_equal(tf.shape(samples)[1], 1, "a WAV must have one channel"),
        ]
        with tf.control_dependencies(checks):
            return tf.identity(samples[:, 0])


def main() -> None:
    """Writes the SavedModel."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--front_end", default="gemma4", help="a shipped name, a YAML file, or a preset's handle")
    parser.add_argument("--output", required=True, help="folder of the SavedModel")
    arguments = parser.parse_args()
    model = WavToFeatures(arguments.front_end)
    tf.saved_model.save(model, arguments.output, signatures={"serving_default": model.serve})
    print(f"{arguments.output}: wav -> input_features, num_frames, of front end {arguments.front_end}")


if __name__ == "__main__":
    main()
