"""What a run holds beyond scalars: histograms merged into heat maps, tables read in pieces, plots, the console."""
