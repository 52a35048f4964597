-- points of a metric in the order they were logged, many to a row, 24 bytes each: step, value, seconds since 1970
CREATE TABLE metric_chunks (
  run TEXT NOT NULL REFERENCES runs (id),
  name TEXT NOT NULL,
  first BIGINT NOT NULL,
  count BIGINT NOT NULL,
  points BYTEA NOT NULL,
  PRIMARY KEY (run, name, first)
);
-- how much of the files that the processes of a run append to is in the store
CREATE TABLE metric_journals (
  run TEXT PRIMARY KEY REFERENCES runs (id),
  taken TEXT NOT NULL
);
-- how many points there are; the only one of a metric is in this row, the points of older stores in metric_points
ALTER TABLE run_metrics ADD COLUMN points BIGINT NOT NULL DEFAULT 1;
ALTER TABLE run_metrics ADD COLUMN seconds DOUBLE PRECISION NOT NULL DEFAULT 0;
UPDATE run_metrics SET points = (
  SELECT COUNT(*) FROM metric_points AS p WHERE p.run = run_metrics.run AND p.name = run_metrics.name);
