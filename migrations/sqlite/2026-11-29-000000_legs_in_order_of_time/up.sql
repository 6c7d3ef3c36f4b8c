-- A call's id tells nothing of its time, so a key that begins with it meets a page of the disk for each new row. A call keeps when its row was
-- first stored, and its legs stand in the order of that.
ALTER TABLE calls ADD COLUMN stored_at BIGINT NOT NULL DEFAULT 0;
UPDATE calls SET stored_at = first_received_at;

DROP VIEW report_legs;
CREATE TABLE legs_in_order (
    application BIGINT NOT NULL,
    call_stored_at BIGINT NOT NULL,
    call_id TEXT NOT NULL,
    leg TEXT NOT NULL,
    kind TEXT NOT NULL,
    sub_call_id TEXT,
    direction TEXT NOT NULL,
    status TEXT NOT NULL,
    number TEXT,
    did TEXT,
    extension TEXT,
    agent TEXT,
    place TEXT,
    started_at BIGINT NOT NULL,
    answered_at BIGINT,
    ended_at BIGINT,
    talk_us BIGINT NOT NULL,
    duration_us BIGINT NOT NULL,
    transferred BOOLEAN NOT NULL,
    record_id TEXT,
    callback_id TEXT,
    source TEXT NOT NULL,
    logged_at BIGINT,
    PRIMARY KEY (application, call_stored_at, call_id, leg)
);
INSERT INTO legs_in_order SELECT
    l.application, COALESCE(c.stored_at, 0), l.call_id, l.leg, l.kind, l.sub_call_id, l.direction, l.status, l.number, l.did, l.extension, l.agent,
    l.place, l.started_at, l.answered_at, l.ended_at, l.talk_us, l.duration_us, l.transferred, l.record_id, l.callback_id, l.source,
    l.logged_at
FROM legs l LEFT JOIN calls c ON c.application = l.application AND c.id = l.call_id
ORDER BY l.application, c.stored_at;
DROP TABLE legs;
ALTER TABLE legs_in_order RENAME TO legs;
CREATE INDEX legs_logged ON legs (application, logged_at, call_id, leg) WHERE logged_at IS NOT NULL;
CREATE INDEX legs_by_number ON legs (application, number, logged_at) WHERE logged_at IS NOT NULL;
CREATE INDEX legs_by_record ON legs (application, record_id) WHERE record_id IS NOT NULL;
-- Counting a period of the call log reads this index and no row.
CREATE INDEX legs_by_start ON legs (application, started_at, kind, direction, extension, place, talk_us, logged_at, call_stored_at, call_id)
    WHERE logged_at IS NOT NULL;

-- The rows of the call log: legs, and one for each missed call.
CREATE VIEW report_legs AS
SELECT application, strftime('%Y-%m-%dT%H:%M:%fZ', (started_at) / 1000000.0, 'unixepoch') AS started, call_id, call_id || '-' || leg AS leg_id, kind, direction, status, number, did, extension,
    agent, place, strftime('%Y-%m-%dT%H:%M:%fZ', (answered_at) / 1000000.0, 'unixepoch') AS answered, strftime('%Y-%m-%dT%H:%M:%fZ', (ended_at) / 1000000.0, 'unixepoch') AS ended, (talk_us) / 1000000.0 AS talk_s, (duration_us) / 1000000.0 AS duration_s,
    transferred, record_id, callback_id, source, strftime('%Y-%m-%dT%H:%M:%fZ', (logged_at) / 1000000.0, 'unixepoch') AS logged, started_at AS started_us, logged_at AS logged_us
FROM legs
WHERE logged_at IS NOT NULL;
