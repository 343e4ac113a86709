"""These pipelines are what people write without melbeam; `benchmarks/pipeline.py` runs them, in their environment.

python benchmarks/others_pipelines.py beam AUDIO OUTPUT        # Beam, keras-hub in a DoFn, float lists
python benchmarks/others_pipelines.py datasets AUDIO OUTPUT    # datasets.map with transformers' extractor
"""

from __future__ import annotations

import glob
import io
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = ""
RATE, HOP = 16000, 160


def with_beam(audio: str, output: str) -> None:
    """Beam's source, keras-hub's converter in a DoFn, float lists trimmed to the clip, Beam's sink."""
    import apache_beam as beam
    import soundfile
    from apache_beam.options.pipeline_options import PipelineOptions

    class LogMel(beam.DoFn):
        def setup(self):
            import keras_hub
            import tensorflow as tf

            self._tf = tf
            self._converter = keras_hub.layers.Gemma4AudioConverter(mel_floor=1e-3)

        def process(self, record):
            features = self._tf.train.Example.FromString(record).features.feature
            samples, _ = soundfile.read(io.BytesIO(features["audio"].bytes_list.value[0]), dtype="float32")
            log_mels = self._converter(samples)[: -(-len(samples) // HOP) - 1]
            example = self._tf.train.Example()
            target = example.features.feature
            target["id"].CopyFrom(features["id"])
            target["input_features"].float_list.value.extend(log_mels.numpy().ravel().tolist())
            target["num_frames"].int64_list.value.append(len(log_mels))
            yield example.SerializeToString()

    shards = len(glob.glob(f"{audio}/train-*"))
    with beam.Pipeline(options=PipelineOptions(["--runner=DirectRunner"])) as pipeline:
        (
            pipeline
            | beam.io.ReadFromTFRecord(f"{audio}/train-*")
            | beam.ParDo(LogMel())
            | beam.io.WriteToTFRecord(f"{output}/train", num_shards=shards)
        )


def with_datasets(audio: str, output: str) -> None:
    """`datasets.map` with transformers' extractor, clip by clip, saved as Arrow; the clips are read by melbeam."""
    import datasets
    import soundfile
    from transformers import Gemma4AudioFeatureExtractor

    datasets.disable_progress_bars()

    def clips(paths):
        # `datasets` pickles what a generator refers to, which a message's class does not bear.
        from melbeam.pipelines.tfrecord import read_tfrecord_file
        from melbeam.transforms.records.example_proto import Example

        for path in paths:
            for record in read_tfrecord_file(path):
                features = Example.FromString(record.data).features.feature
                yield {name: features[name].bytes_list.value[0] for name in ("id", "audio")}

    extractor = Gemma4AudioFeatureExtractor()

    def log_mel(clip):
        samples, _ = soundfile.read(io.BytesIO(clip["audio"]), dtype="float32")
        found = extractor([samples], sampling_rate=RATE, return_tensors="np")
        return {"id": clip["id"], "input_features": found["input_features"][0]}

    paths = sorted(glob.glob(f"{audio}/train-*"))
    cache = f"{output}-cache"
    corpus = datasets.Dataset.from_generator(clips, gen_kwargs={"paths": paths}, cache_dir=cache)
    corpus.map(log_mel, remove_columns=["audio"], keep_in_memory=False).save_to_disk(output)


if __name__ == "__main__":
    {"beam": with_beam, "datasets": with_datasets}[sys.argv[1]](*sys.argv[2:])
