"""The control database keeps what needs transactions: in SQLite (embedded) or PostgreSQL, with the same code."""
