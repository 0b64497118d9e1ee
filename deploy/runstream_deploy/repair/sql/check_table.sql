-- Each part of a table, whether it agrees with its checksums, and why it does not. Parameters: table.
CHECK TABLE {table:Identifier}
