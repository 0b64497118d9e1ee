"""Roll-ups of long series: kept by one task of the query service, used by `runstream_query.curves.rolled`."""
