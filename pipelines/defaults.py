"""Defaults and bounds of the jobs that their parsers tell, and so must know without importing what they bound."""

from __future__ import annotations

SHARD_BYTES = 256 << 20  # 256 MiB of input: more than two hours of 16-bit audio
MAX_CONVERT_SECONDS = 600.0  # many times what the longest clip that is taken by default needs
MAX_REJECT_FRACTION = 0.01
