"""ClickHouse's engine (chdb) behind ClickHouse's own HTTP protocol, in one small process.

`request` reads a request, `engine` runs it, `clickhouse_app` is the ASGI application between them, and `access` checks
who may use it.
"""
