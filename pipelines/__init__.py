"""Jobs over data sets: files, shards, runners and the command line."""
