-- This part was looked at. Parameters: part.
INSERT INTO rolled_parts (part) SELECT {part:String}
