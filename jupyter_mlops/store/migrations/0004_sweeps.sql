-- how a run was executed; a run whose kernel died is tried again as another run, which counts the tries
ALTER TABLE runs ADD COLUMN warm BIGINT;
ALTER TABLE runs ADD COLUMN why_cold TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN executor TEXT;
ALTER TABLE runs ADD COLUMN seconds_limit DOUBLE PRECISION;
ALTER TABLE runs ADD COLUMN tries BIGINT NOT NULL DEFAULT 1;
-- why it was stopped; the step at which it was found hopeless
ALTER TABLE runs ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN pruned_step BIGINT;
-- whose it is while it runs, where it may run anywhere: until then, unless that is told again
ALTER TABLE runs ADD COLUMN worker TEXT;
ALTER TABLE runs ADD COLUMN lease_token TEXT;
ALTER TABLE runs ADD COLUMN lease_until TEXT;
CREATE INDEX runs_of_sweep_by_status ON runs (sweep, status, position);
-- how parameter sets are found; a detached sweep waits in the queue for whoever works
ALTER TABLE sweeps ADD COLUMN search TEXT NOT NULL DEFAULT 'grid';
ALTER TABLE sweeps ADD COLUMN executor TEXT NOT NULL DEFAULT 'local';
ALTER TABLE sweeps ADD COLUMN detached BIGINT NOT NULL DEFAULT 0;
CREATE INDEX sweeps_waiting ON sweeps (detached, status);
