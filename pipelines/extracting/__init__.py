"""One shard of audio records to one shard of features, whatever a record does to the process."""
