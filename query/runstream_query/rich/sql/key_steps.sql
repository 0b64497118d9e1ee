-- The steps at which a key was logged, newest first. Parameters: project; run; kind (histogram | table | media); key;
-- prefix (1: all keys that begin with `key`); ranks (empty: all); min_step, max_step; limit.
SELECT DISTINCT step FROM
(
    SELECT step FROM histograms
    WHERE {kind:String} = 'histogram' AND project = {project:String} AND run = {run:String}
      AND (key = {key:String} OR ({prefix:UInt8} AND startsWith(key, {key:String})))
      AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
      AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
    UNION ALL
    SELECT step FROM tables
    WHERE {kind:String} = 'table' AND project = {project:String} AND run = {run:String}
      AND (key = {key:String} OR ({prefix:UInt8} AND startsWith(key, {key:String})))
      AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
      AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
    UNION ALL
    SELECT step FROM media
    WHERE {kind:String} = 'media' AND project = {project:String} AND run = {run:String}
      AND (key = {key:String} OR ({prefix:UInt8} AND startsWith(key, {key:String})))
      AND (empty({ranks:Array(UInt32)}) OR rank IN {ranks:Array(UInt32)})
      AND step BETWEEN {min_step:Int64} AND {max_step:Int64}
)
ORDER BY step DESC
LIMIT {limit:UInt32}
