"""Make curves of buckets that hide nothing. Points, the engine's aggregation and roll-ups give the same curve."""
