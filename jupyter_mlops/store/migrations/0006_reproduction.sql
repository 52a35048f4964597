-- what must be known of a run to execute it again: of which run it is a repetition, and what was injected
ALTER TABLE runs ADD COLUMN like_run TEXT;
ALTER TABLE runs ADD COLUMN injected TEXT;
CREATE INDEX runs_like ON runs (like_run);
-- the version that each alias or bare name stood for when the run asked for it
CREATE TABLE run_refs (
  run TEXT NOT NULL REFERENCES runs (id),
  asked TEXT NOT NULL,
  ref TEXT NOT NULL,
  PRIMARY KEY (run, asked)
);
