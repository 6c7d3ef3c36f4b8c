-- A call's id tells nothing of its time, so a key that begins with it meets a page of the disk for each new row. A call keeps when its row was
-- first stored, and its legs stand in the order of that.
ALTER TABLE calls ADD COLUMN stored_at BIGINT NOT NULL DEFAULT 0;
UPDATE calls SET stored_at = first_received_at;

ALTER TABLE legs ADD COLUMN call_stored_at BIGINT NOT NULL DEFAULT 0;
UPDATE legs SET call_stored_at = c.stored_at FROM calls c WHERE c.application = legs.application AND c.id = legs.call_id;
ALTER TABLE legs DROP CONSTRAINT legs_pkey, ADD PRIMARY KEY (application, call_stored_at, call_id, leg);
ALTER TABLE calls ALTER COLUMN stored_at DROP DEFAULT;
ALTER TABLE legs ALTER COLUMN call_stored_at DROP DEFAULT;
DROP INDEX legs_by_start;
CREATE INDEX legs_by_start ON legs (application, started_at, kind, direction, extension, place, talk_us, logged_at, call_stored_at, call_id)
    WHERE logged_at IS NOT NULL;
