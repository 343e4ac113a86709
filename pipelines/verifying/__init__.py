"""Whether a folder of features holds what it says, and what a reference makes of the same audio."""

from melbeam.transforms.folder_layout import JOB, PLAN, SUMMARY

# The packages whose own converters recompute records, as --against names them.
REFERENCE_PACKAGES = ("transformers", "keras-hub")
# Files of which a split's bookkeeping has one at least, whatever happened to it.
FILES_OF_A_SPLIT = (JOB, PLAN, SUMMARY)
