"""Hold what every domain builds on: storage, errors, names, pages, fair queues. Nothing here imports a domain."""
