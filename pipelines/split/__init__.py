"""The life of a split: its plan, job, lock, attempts and commits, and what is written about it at its end."""
