-- what a table holds, found in one pass over it: a cache, made once for equal content that is read alike
CREATE TABLE descriptions (
  content TEXT NOT NULL,
  reading TEXT NOT NULL,
  row_count BIGINT,
  columns_json TEXT NOT NULL,
  profile_json TEXT,
  options TEXT NOT NULL,
  notes TEXT NOT NULL,
  problem TEXT,
  at TEXT NOT NULL,
  PRIMARY KEY (content, reading)
);
-- reading: '' where types are inferred, else the declared ones; so far, versions kept what was found
ALTER TABLE versions ADD COLUMN reading TEXT NOT NULL DEFAULT '';
ALTER TABLE versions ADD COLUMN removed_at TEXT;
UPDATE versions SET reading = columns_json WHERE columns_json <> '[]';
INSERT INTO descriptions (content, reading, row_count, columns_json, profile_json, options, notes, at)
  SELECT digest, reading, row_count, columns_json, profile_json, '{}', '[]', at FROM versions AS v
  WHERE columns_json <> '[]' AND number = (
    SELECT MAX(number) FROM versions WHERE dataset = v.dataset AND digest = v.digest AND reading = v.reading)
    AND dataset = (SELECT MIN(dataset) FROM versions WHERE digest = v.digest AND reading = v.reading);
ALTER TABLE versions DROP COLUMN row_count;
ALTER TABLE versions DROP COLUMN columns_json;
ALTER TABLE versions DROP COLUMN profile_json;
CREATE INDEX versions_content ON versions (digest);
