-- The number of rows of a part. Parameters: table, part. The caller adds conditions on columns.
SELECT count() FROM {table:Identifier} WHERE _part = {part:String}
