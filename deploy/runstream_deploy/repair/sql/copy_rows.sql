-- Insert rows of a part again, with their keys and versions: where a row exists already, nothing changes.
-- Parameters: table, part. The caller adds conditions on columns.
INSERT INTO {table:Identifier}
SELECT * FROM {table:Identifier} WHERE _part = {part:String}
