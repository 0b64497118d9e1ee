"""A module a dashboard; `make()` is its model."""
