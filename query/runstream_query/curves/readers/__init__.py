"""Read curves: one reader for each way in which series can be read."""
