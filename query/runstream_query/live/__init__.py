"""Push what arrives: one poller a project asks ClickHouse for news, and any number of watchers read behind it."""
