-- The parts that were made within the last two minutes.
SELECT database, table, name FROM system.parts WHERE active AND modification_time >= now() - 120
