"""Jobs over data sets: files, shards, runners and the command line."""

import melbeam.transforms  # noqa: F401 - which leaves out Beam's words on packages
