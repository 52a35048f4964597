-- append-only: events
CREATE TABLE events (
  seq BIGINT PRIMARY KEY,
  at TEXT NOT NULL,
  actor TEXT NOT NULL CHECK (actor <> ''),
  proof TEXT NOT NULL CHECK (proof <> ''),
  verb TEXT NOT NULL,
  about TEXT NOT NULL,
  data TEXT NOT NULL,
  prev TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE
);
CREATE INDEX events_about ON events (about, seq);
CREATE TABLE chain (
  id BIGINT PRIMARY KEY CHECK (id = 1),
  seq BIGINT NOT NULL,
  hash TEXT NOT NULL
);
INSERT INTO chain (id, seq, hash) VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');
CREATE TABLE cursors (
  name TEXT PRIMARY KEY,
  seq BIGINT NOT NULL
);

CREATE TABLE policies (
  number BIGINT PRIMARY KEY,
  digest TEXT NOT NULL,
  document TEXT NOT NULL,
  at TEXT NOT NULL,
  actor TEXT NOT NULL
);

-- aliases of datasets ('data') and models ('model'), with every move kept
CREATE TABLE aliases (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  alias TEXT NOT NULL,
  number BIGINT NOT NULL,
  PRIMARY KEY (kind, name, alias)
);
CREATE TABLE alias_moves (
  seq BIGINT PRIMARY KEY,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  alias TEXT NOT NULL,
  number BIGINT NOT NULL,
  previous BIGINT,
  at TEXT NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  approval TEXT
);
CREATE INDEX alias_moves_of ON alias_moves (kind, name, alias, seq);

CREATE TABLE datasets (
  name TEXT PRIMARY KEY,
  key_columns TEXT NOT NULL,
  at TEXT NOT NULL,
  actor TEXT NOT NULL
);
CREATE TABLE versions (
  dataset TEXT NOT NULL REFERENCES datasets (name),
  number BIGINT NOT NULL,
  digest TEXT NOT NULL,
  kind TEXT NOT NULL,
  files BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  row_count BIGINT,
  columns_json TEXT NOT NULL,
  profile_json TEXT NOT NULL,
  detail TEXT NOT NULL,
  parents TEXT NOT NULL,
  message TEXT NOT NULL,
  at TEXT NOT NULL,
  actor TEXT NOT NULL,
  PRIMARY KEY (dataset, number)
);
CREATE INDEX versions_digest ON versions (dataset, digest);

CREATE TABLE sweeps (
  id TEXT PRIMARY KEY,
  experiment TEXT NOT NULL,
  notebook TEXT NOT NULL,
  notebook_digest TEXT NOT NULL,
  request TEXT NOT NULL,
  metric TEXT,
  goal TEXT,
  size BIGINT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('running', 'finished', 'stopped')),
  host TEXT NOT NULL,
  at TEXT NOT NULL,
  ended_at TEXT,
  actor TEXT NOT NULL
);
CREATE INDEX sweeps_experiment ON sweeps (experiment, at);
CREATE TABLE runs (
  id TEXT PRIMARY KEY,
  number BIGINT NOT NULL UNIQUE,
  experiment TEXT NOT NULL,
  sweep TEXT REFERENCES sweeps (id),
  position BIGINT,
  kind TEXT NOT NULL,
  notebook TEXT,
  notebook_digest TEXT,
  executed_digest TEXT,
  source_digest TEXT,
  environment_digest TEXT,
  git_commit TEXT,
  git_dirty BIGINT,
  status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'finished', 'failed', 'stopped')),
  error TEXT,
  host TEXT NOT NULL,
  actor TEXT NOT NULL,
  proof TEXT NOT NULL,
  at TEXT NOT NULL,
  started_at TEXT,
  ended_at TEXT
);
CREATE INDEX runs_experiment ON runs (experiment, number);
CREATE INDEX runs_sweep ON runs (sweep, position);
CREATE INDEX runs_status ON runs (status);
CREATE TABLE run_parameters (
  run TEXT NOT NULL REFERENCES runs (id),
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  number DOUBLE PRECISION,
  PRIMARY KEY (run, name)
);
CREATE TABLE run_metrics (
  run TEXT NOT NULL REFERENCES runs (id),
  name TEXT NOT NULL,
  value DOUBLE PRECISION,
  step BIGINT NOT NULL,
  PRIMARY KEY (run, name)
);
CREATE INDEX run_metrics_value ON run_metrics (name, value);
CREATE TABLE metric_points (
  run TEXT NOT NULL REFERENCES runs (id),
  name TEXT NOT NULL,
  position BIGINT NOT NULL,
  step BIGINT NOT NULL,
  value DOUBLE PRECISION,
  at TEXT NOT NULL,
  PRIMARY KEY (run, name, position)
);
CREATE TABLE run_tags (
  run TEXT NOT NULL REFERENCES runs (id),
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (run, name)
);
CREATE TABLE run_inputs (
  run TEXT NOT NULL REFERENCES runs (id),
  name TEXT NOT NULL,
  ref TEXT NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY (run, name)
);
CREATE INDEX run_inputs_ref ON run_inputs (ref);
CREATE TABLE run_outputs (
  run TEXT NOT NULL REFERENCES runs (id),
  ref TEXT NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY (run, ref)
);
CREATE INDEX run_outputs_ref ON run_outputs (ref);
CREATE TABLE run_artifacts (
  run TEXT NOT NULL REFERENCES runs (id),
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  digest TEXT NOT NULL,
  bytes BIGINT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (run, name)
);

CREATE TABLE models (
  name TEXT PRIMARY KEY,
  at TEXT NOT NULL,
  actor TEXT NOT NULL
);
CREATE TABLE model_versions (
  model TEXT NOT NULL REFERENCES models (name),
  number BIGINT NOT NULL,
  digest TEXT NOT NULL,
  run TEXT,
  bytes BIGINT NOT NULL,
  detail TEXT NOT NULL,
  author TEXT NOT NULL,
  at TEXT NOT NULL,
  actor TEXT NOT NULL,
  PRIMARY KEY (model, number)
);

CREATE TABLE approvals (
  id TEXT PRIMARY KEY,
  seq BIGINT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('promotion', 'rollback', 'policy')),
  model TEXT NOT NULL,
  number BIGINT NOT NULL,
  alias TEXT NOT NULL,
  state TEXT NOT NULL
    CHECK (state IN ('pending', 'moved', 'blocked', 'rejected', 'revoked', 'expired', 'invalidated')),
  subject TEXT NOT NULL,
  binding TEXT NOT NULL,
  needed BIGINT NOT NULL,
  gates TEXT NOT NULL,
  reason TEXT NOT NULL,
  actor TEXT NOT NULL,
  at TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  decided_at TEXT,
  outcome TEXT NOT NULL,
  counted TEXT NOT NULL
);
CREATE INDEX approvals_state ON approvals (state);
CREATE INDEX approvals_of ON approvals (model, alias);
CREATE UNIQUE INDEX approvals_pending ON approvals (kind, model, number, alias) WHERE state = 'pending';
-- one person, one vote: principal is the person behind the spelling of the actor's name
-- append-only: votes
CREATE TABLE votes (
  approval TEXT NOT NULL REFERENCES approvals (id),
  principal TEXT NOT NULL,
  actor TEXT NOT NULL,
  proof TEXT NOT NULL,
  vote TEXT NOT NULL CHECK (vote IN ('approve', 'reject')),
  reason TEXT NOT NULL,
  at TEXT NOT NULL,
  PRIMARY KEY (approval, principal)
);

CREATE TABLE alerts (
  id TEXT PRIMARY KEY,
  key TEXT NOT NULL,
  title TEXT NOT NULL,
  about TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'acknowledged', 'snoozed', 'resolved')),
  report TEXT NOT NULL,
  at TEXT NOT NULL,
  actor TEXT NOT NULL,
  changed_at TEXT NOT NULL,
  changed_by TEXT NOT NULL
);
CREATE UNIQUE INDEX alerts_key ON alerts (key);
