"""Check what people change of runs on the server, put it into rows, and store it."""
