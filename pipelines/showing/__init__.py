"""Shows records to a person: finds them by id or number, describes them in words, and draws them in characters."""
