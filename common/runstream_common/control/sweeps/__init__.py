"""Sweeps in the control database: what needs transactions. Who asks is checked by the caller."""
