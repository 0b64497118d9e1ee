"""The query service's benchmark: see `__main__`."""
