-- What was kept of these parts, which exist no more. Parameters: parts.
DELETE FROM rollups WHERE part IN {parts:Array(String)}
