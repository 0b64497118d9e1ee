"""`runstream repair`: what runs lack is named, and brought back from where it still is."""
