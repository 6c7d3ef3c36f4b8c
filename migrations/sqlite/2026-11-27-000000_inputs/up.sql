-- What a decision was made from, in JSON, so that it can be made again; empty: no agents were looked at.
ALTER TABLE decisions ADD COLUMN inputs TEXT NOT NULL DEFAULT '';
