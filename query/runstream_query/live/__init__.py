"""What arrives, pushed: one poller a project asks ClickHouse what is new, and any number of watchers read behind it."""
