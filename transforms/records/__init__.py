"""The records: what they hold, how audio comes out of them, and the conversion of one of them."""
