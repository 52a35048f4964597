-- what people note of runs, and runs that are hidden
ALTER TABLE runs ADD COLUMN note TEXT;
ALTER TABLE runs ADD COLUMN removed_at TEXT;
-- what searches walk along; of a text its beginning, because PostgreSQL limits the size of a key
DROP INDEX IF EXISTS run_metrics_value;
CREATE INDEX run_metrics_value ON run_metrics (name, value, run);
CREATE INDEX run_parameters_value ON run_parameters (name, number, substr(value, 1, 64), run);
CREATE INDEX run_tags_value ON run_tags (name, substr(value, 1, 64), run);
CREATE INDEX runs_started ON runs (started_at);
CREATE INDEX model_versions_run ON model_versions (run);
-- full text: texts
-- what is not yet found by its words, because it was there before words were kept
CREATE TABLE texts_due (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  PRIMARY KEY (kind, id)
);
INSERT INTO texts_due (kind, id) SELECT 'run', id FROM runs;
