-- The first runs in an order by value: NaN last, ties by run id. Where FROM has its stand-in, a SELECT of run, value and
-- at_step of the objective goes. Parameters: ascending; best: how many.
SELECT run, value, at_step
FROM (/* values */ SELECT '' AS run, nan AS value, CAST(NULL, 'Nullable(Int64)') AS at_step)
ORDER BY isNaN(value), if({ascending:UInt8} = 1, value, -value), run
LIMIT {best:UInt32}
