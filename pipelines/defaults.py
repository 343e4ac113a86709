"""Defaults and bounds of the jobs that their parsers tell, and so must know without importing what they bound."""

from __future__ import annotations

MAX_SHARD_BYTES = 1 << 30  # 1 GiB of an input file: nine hours of 16-bit audio, half a minute of one core
MAX_CONVERT_SECONDS = 600.0  # many times what the longest clip that is taken by default needs
MAX_REJECT_FRACTION = 0.01
