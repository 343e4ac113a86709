"""Whether a folder of features holds what it says, and what a reference makes of the same audio."""

# The packages whose own converters recompute records, as --against names them.
REFERENCE_PACKAGES = ("transformers", "keras-hub")
