-- What is noted of each partition of each bus: until when everything is stored, in which periods somebody listened, and
-- the version of the note. Moments are microseconds since 1970.
SELECT bus, part, parts, toUnixTimestamp64Micro(until),
    arrayMap(moment -> toUnixTimestamp64Micro(moment), began),
    arrayMap(moment -> toUnixTimestamp64Micro(moment), ended),
    version
FROM listening FINAL
