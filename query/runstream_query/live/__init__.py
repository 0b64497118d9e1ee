"""Push new data to watchers: one poller a project queries ClickHouse, and any number of watchers read from it."""
