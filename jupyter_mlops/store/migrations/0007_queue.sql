-- notebooks of detached sweeps in a store that other machines read, for workers that have no other way to them
CREATE TABLE queued_notebooks (
  sweep TEXT PRIMARY KEY REFERENCES sweeps (id),
  notebook BYTEA NOT NULL
);
