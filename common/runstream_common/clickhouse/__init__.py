"""Speak to ClickHouse: clients, its HTTP protocol, the schema and tombstones."""
