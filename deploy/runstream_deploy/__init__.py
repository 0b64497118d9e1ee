"""Putting it together: `runstream up`, embedded ClickHouse, `runstream doctor`."""
