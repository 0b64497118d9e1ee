"""The gateway authenticates streams, checks the size and shape of batches, and acks after the bus has them."""
