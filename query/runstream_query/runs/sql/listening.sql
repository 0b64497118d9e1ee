-- The writers' marks: the times in which they listened. See runstream_common/listening.py. No parameters.
SELECT
    bus,
    part,
    parts,
    toUnixTimestamp64Micro(until) AS until_us,
    arrayMap(moment -> toUnixTimestamp64Micro(moment), began) AS began_us,
    arrayMap(moment -> toUnixTimestamp64Micro(moment), ended) AS ended_us
FROM listening FINAL
