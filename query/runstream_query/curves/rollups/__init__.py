"""Roll up long series: one task of the query service keeps the roll-ups that `curves.readers` uses."""
