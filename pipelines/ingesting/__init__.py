"""Audio files to audio TFRecords: what `melbeam ingest` does with its options."""
