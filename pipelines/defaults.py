"""Defaults, bounds and examples that parsers show, and so need without importing the modules that use them."""

from __future__ import annotations

SHARD_BYTES = 256 << 20  # 256 MiB of input: more than two hours of 16-bit audio
MAX_CONVERT_SECONDS = 600.0  # many times what the longest clip that is taken by default needs
MAX_REJECT_FRACTION = 0.01
ENCODING_OF_TEXT = "utf-8"
SPLITS_EXAMPLE = "train=0.98,validation=0.01,test=0.01"  # of --split, in help and messages
