"""Choosing runs: filters, orders and free text, answered from columns in memory (decision 17)."""
