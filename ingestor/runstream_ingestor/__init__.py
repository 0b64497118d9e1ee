"""The ingestor: `gateway/` takes batches in over gRPC and puts them on the bus, `writer/` stores them."""
