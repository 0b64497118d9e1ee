-- The values of two columns in a part. Parameters: table, part, first, second. The caller adds conditions on columns.
SELECT DISTINCT toString({first:Identifier}), toString({second:Identifier})
FROM {table:Identifier} WHERE _part = {part:String}
