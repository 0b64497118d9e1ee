-- The value of a metric at the step where another metric, the selector, is best: the earliest such step, without NaN,
-- mean over ranks. It is the value at this step, or at the last step before it that has one; NaN if there is none. Runs
-- without the selector are left out. A selection of runs replaces the comment in WHERE.
-- Parameters: project; metric; selector; minimize.
WITH
means AS
(
    SELECT
        run,
        toString(metric) AS name,
        step,
        avgIf(value, NOT isNaN(value)) AS across
    FROM points FINAL
    WHERE project = {project:String} AND metric IN ({metric:String}, {selector:String}) /* among */
    GROUP BY run, metric, step
    HAVING countIf(NOT isNaN(value)) > 0 AND NOT isNaN(across)
),
gathered AS
(
    SELECT
        run,
        groupArrayIf((step, across), name = {metric:String}) AS values,
        groupArrayIf((if({minimize:UInt8} = 1, across, -across), step), name = {selector:String}) AS selections
    FROM means
    GROUP BY run
),
chosen AS
(
    SELECT run, values, tupleElement(arrayMin(selections), 2) AS best FROM gathered WHERE notEmpty(selections)
)
SELECT
    run,
    arrayFilter(pair -> tupleElement(pair, 1) <= best, values) AS before,
    if(empty(before), nan, tupleElement(arrayMax(before), 2)) AS value,
    toNullable(best) AS at_step
FROM chosen
