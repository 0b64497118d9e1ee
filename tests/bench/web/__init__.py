"""The page's benchmark: see `__main__`."""
