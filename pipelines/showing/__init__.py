"""Records shown to a person: found by id or number, in words, and drawn in characters."""
