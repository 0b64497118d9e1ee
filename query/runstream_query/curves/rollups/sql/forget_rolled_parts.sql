-- What was kept of these parts, which exist no more. Parameters: parts.
DELETE FROM rolled_parts WHERE part IN {parts:Array(String)}
