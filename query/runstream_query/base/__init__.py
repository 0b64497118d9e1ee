"""Hold what every domain of the query service builds on: storage, errors, names, pages, fair queues."""
