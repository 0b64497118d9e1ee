"""gRPC in, bus out: authenticates, checks size and shape, acks after the bus has it."""
