"""Judge whether all that a run logged is stored, row by row (decisions 20, 22 and 27)."""
