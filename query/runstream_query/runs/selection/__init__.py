"""Select runs by filters, orders and free text, computed from columns in memory (decision 17)."""
