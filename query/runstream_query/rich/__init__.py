"""Read what a run holds beyond scalars: histograms merged into heat maps, tables in pieces, plots, the console."""
