"""Two folders of features compared: their records paired by id, and each pair held against each other."""
