-- Whether any run has the metric of another rank than 0. Parameters: project; metric.
SELECT max(rank) > 0 AS several FROM series WHERE project = {project:String} AND metric = {metric:String}
