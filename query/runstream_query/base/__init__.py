"""Hold what every domain builds on: storage, errors, names, pages, fair queues. It imports no domain."""
