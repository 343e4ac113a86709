"""Whether a folder of features holds what it says, and what a reference makes of the same audio."""
