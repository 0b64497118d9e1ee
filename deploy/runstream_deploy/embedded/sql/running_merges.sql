-- The number of merges that run now.
SELECT count() FROM system.merges
