-- Roll-ups of a series in several parts, as they are stored. Parameters: project; run; metric; rank; parts; cells: (part,
-- width of the cells that are wanted of it), for each; first_cell, last_cell: the lowest and the highest, inclusive.
-- `part_number`: the part's place in `parts`, from 1.
SELECT
    indexOf({parts:Array(String)}, part) AS part_number,
    rollups.bucket AS cell_number,
    first_step,
    last_step,
    first,
    last,
    minimum,
    maximum,
    total,
    finite,
    points,
    toUnixTimestamp64Micro(earliest) AS earliest_us,
    toUnixTimestamp64Micro(latest) AS latest_us
FROM rollups FINAL
PREWHERE project = {project:String} AND run = {run:String} AND metric = {metric:String} AND rank = {rank:UInt32}
  AND (part, rollups.width) IN {cells:Array(Tuple(String, Int64))}
  AND rollups.bucket BETWEEN {first_cell:Int64} AND {last_cell:Int64}
