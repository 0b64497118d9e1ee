"""Answer users' SQL: check it, filter its rows by team, and limit its cost."""
