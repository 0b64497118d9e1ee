"""Answer people's SQL: what they may ask, about whose rows, at what cost; and ClickHouse's protocol for tools."""
