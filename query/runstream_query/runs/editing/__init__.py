"""Check users' changes of runs, turn them into rows, and store these."""
