"""Draw the next trials of a sweep: grid, random search and models."""
