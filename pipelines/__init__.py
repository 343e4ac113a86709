"""Jobs over data sets: files, shards, runners and the command line."""

from melbeam.transforms.beams_words import leave_out_words_on_packages

leave_out_words_on_packages()
