"""Whether a folder of features holds what it says, and what a reference makes of the same audio."""

# The packages whose own converters recompute records, as --against names them.
REFERENCE_PACKAGES = ("transformers", "keras-hub")
# Files of which a split's bookkeeping has one at least, whatever happened to it.
FILES_OF_A_SPLIT = ("job.json", "plan.jsonl", "summary.json")
