"""Curves in buckets that hide nothing: from points, the engine's aggregation, or roll-ups, always the same."""
