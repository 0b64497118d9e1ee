"""ClickHouse's schema: numbered `.sql` migrations, and the code that applies and checks them."""
