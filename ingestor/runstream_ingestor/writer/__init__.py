"""The writer takes batches from the bus, inserts points, series, documents and the ledger, and confirms."""
