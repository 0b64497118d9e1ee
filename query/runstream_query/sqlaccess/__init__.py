"""SQL from people: what they may ask, with whose rows, at what cost; and ClickHouse's own protocol for their tools."""
