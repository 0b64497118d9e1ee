"""Choosing runs: filters, orders and free text, made into one SQL statement of constant text and typed parameters."""
