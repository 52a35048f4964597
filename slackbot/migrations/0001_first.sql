-- One row is one message in the chat. `subject` ("approval:<id>") is the fact it tells of and is unique, so a fact
-- has one message; `id` travels with the message as metadata, by which it is found again after a lost reply.
-- `news` is the last event about the subject, `shown` the one that the message shows: behind means update in place.
-- `sending_at` is set from the moment the message may have left until its fate is known.
CREATE TABLE slack_deliveries (
  id TEXT PRIMARY KEY,
  subject TEXT NOT NULL UNIQUE,
  channel TEXT NOT NULL,
  at TEXT NOT NULL,
  event BIGINT NOT NULL,
  news BIGINT NOT NULL,
  shown BIGINT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'leased', 'ambiguous', 'sent', 'dead', 'cancelled')),
  lease TEXT,
  lease_until TEXT,
  sending_at TEXT,
  first_at TEXT,
  attempts BIGINT NOT NULL,
  next_at TEXT NOT NULL,
  channel_id TEXT,
  ts TEXT,
  file TEXT,
  error TEXT NOT NULL,
  CHECK ((state = 'leased') = (lease IS NOT NULL))
);
CREATE INDEX slack_deliveries_due ON slack_deliveries (state, next_at);

-- What people did in Slack, each thing once: taken before it is acted on, done afterwards.
CREATE TABLE slack_inbox (
  key TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  payload TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('taken', 'done')),
  holder TEXT NOT NULL,
  at TEXT NOT NULL
);
CREATE INDEX slack_inbox_at ON slack_inbox (at);
