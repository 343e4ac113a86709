"""What audio a decoder takes, and which of its channels can be asked for; without any import.

Options are parsed by these bounds before NumPy and the decoders are loaded.
"""

from __future__ import annotations

# Outside these a header is taken to lie, and a rate that a person names is a number of something else.
MIN_RATE, MAX_RATE = 1000, 768_000  # Hz
MAX_CHANNELS = 64
# What to do with several channels, beside the number of one: their mean, or each by itself.
MEAN, EACH = "mean", "each"
