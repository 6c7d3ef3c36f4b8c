DROP INDEX legs_by_start;
CREATE INDEX legs_by_start ON legs (application, started_at, kind, direction, extension, place, talk_us, logged_at, call_id)
    WHERE logged_at IS NOT NULL;
ALTER TABLE legs DROP CONSTRAINT legs_pkey, ADD PRIMARY KEY (application, call_id, leg);
ALTER TABLE legs DROP COLUMN call_stored_at;
ALTER TABLE calls DROP COLUMN stored_at;
