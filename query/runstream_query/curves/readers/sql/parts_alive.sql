-- Which of these parts of `points` exist. Parameters: parts.
SELECT name FROM system.parts
WHERE database = currentDatabase() AND table = 'points' AND active AND name IN {parts:Array(String)}
