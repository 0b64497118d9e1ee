"""ClickHouse's schema: numbered `.sql` migrations and what applies and checks them."""
