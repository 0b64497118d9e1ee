"""The commands of a deployment: `runstream up`, embedded ClickHouse, `runstream doctor`."""
