-- What was kept of these parts, which exist no more. Parameters: parts.
DELETE FROM rolled_series WHERE part IN {parts:Array(String)}
