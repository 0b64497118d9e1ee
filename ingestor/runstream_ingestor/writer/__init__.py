"""Bus in, ClickHouse out: decodes, inserts points, then series and documents, then the ledger, then confirms."""
