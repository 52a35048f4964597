-- a run that belongs to no sweep and repeats no other is in none of these: that saves the pages it would change
DROP INDEX IF EXISTS runs_sweep;
CREATE INDEX runs_sweep ON runs (sweep, position) WHERE sweep IS NOT NULL;
DROP INDEX IF EXISTS runs_of_sweep_by_status;
CREATE INDEX runs_of_sweep_by_status ON runs (sweep, status, position) WHERE sweep IS NOT NULL;
DROP INDEX IF EXISTS runs_like;
CREATE INDEX runs_like ON runs (like_run) WHERE like_run IS NOT NULL;
