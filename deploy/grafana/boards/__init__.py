"""One module for each dashboard: its `make()` returns the dashboard's model."""
