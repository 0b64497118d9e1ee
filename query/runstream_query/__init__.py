"""The query service: one set of answers, served as gRPC and as HTTP/JSON from the same definitions."""
