-- Runs chosen by what they have: a filter or an order reads a few keys of all runs of a project, where the tables are in
-- the order of runs. A projection is a second order of the same part: written with it, merged with it, deleted with it,
-- so it can neither lag nor count twice. It serves queries without FINAL, which take the newest version by themselves.

ALTER TABLE run_fields {{on_cluster}}
    MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild', lightweight_mutation_projection_mode = 'rebuild'
;

ALTER TABLE run_fields {{on_cluster}}
    ADD PROJECTION IF NOT EXISTS by_key (SELECT * ORDER BY (project, section, key, run))
;

ALTER TABLE run_fields {{on_cluster}}
    MATERIALIZE PROJECTION by_key
;

ALTER TABLE series {{on_cluster}}
    MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild', lightweight_mutation_projection_mode = 'rebuild'
;

ALTER TABLE series {{on_cluster}}
    ADD PROJECTION IF NOT EXISTS by_metric (SELECT * ORDER BY (project, metric, run, rank))
;

ALTER TABLE series {{on_cluster}}
    MATERIALIZE PROJECTION by_metric
;
