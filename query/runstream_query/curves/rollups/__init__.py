"""Roll up long series: one task of the query service keeps the roll-ups, `runstream_query.curves.rolled` uses them."""
