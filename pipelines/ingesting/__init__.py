"""One split of audio TFRecords: the writer of a shard, the pipeline, the launcher."""
