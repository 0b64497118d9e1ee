-- Take a part out of its table: its files stay in the folder `detached`. Parameters: table, part.
ALTER TABLE {table:Identifier} DETACH PART {part:String}
