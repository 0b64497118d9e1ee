"""The control database: what needs transactions. SQLite embedded, PostgreSQL in production, one code."""
