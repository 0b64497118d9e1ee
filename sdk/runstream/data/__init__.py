"""What can be logged beside numbers and strings: histograms, images, audio, video, HTML, tables, plots."""
