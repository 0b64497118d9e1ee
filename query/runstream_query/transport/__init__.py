"""Serve the methods over gRPC and HTTP: who calls, what they may send, and in which order they are answered."""
