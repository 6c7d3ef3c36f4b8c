DROP VIEW report_legs;
CREATE TABLE legs_by_call (
    application BIGINT NOT NULL,
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
    PRIMARY KEY (application, call_id, leg)
);
INSERT INTO legs_by_call SELECT
    application, call_id, leg, kind, sub_call_id, direction, status, number, did, extension, agent, place, started_at, answered_at,
    ended_at, talk_us, duration_us, transferred, record_id, callback_id, source, logged_at
FROM legs;
DROP TABLE legs;
ALTER TABLE legs_by_call RENAME TO legs;
CREATE INDEX legs_logged ON legs (application, logged_at, call_id, leg) WHERE logged_at IS NOT NULL;
CREATE INDEX legs_by_number ON legs (application, number, logged_at) WHERE logged_at IS NOT NULL;
CREATE INDEX legs_by_record ON legs (application, record_id) WHERE record_id IS NOT NULL;
-- Counting a period of the call log reads this index and no row.
CREATE INDEX legs_by_start ON legs (application, started_at, kind, direction, extension, place, talk_us, logged_at, call_id)
    WHERE logged_at IS NOT NULL;

-- The rows of the call log: legs, and one for each missed call.
CREATE VIEW report_legs AS
SELECT application, strftime('%Y-%m-%dT%H:%M:%fZ', (started_at) / 1000000.0, 'unixepoch') AS started, call_id, call_id || '-' || leg AS leg_id, kind, direction, status, number, did, extension,
    agent, place, strftime('%Y-%m-%dT%H:%M:%fZ', (answered_at) / 1000000.0, 'unixepoch') AS answered, strftime('%Y-%m-%dT%H:%M:%fZ', (ended_at) / 1000000.0, 'unixepoch') AS ended, (talk_us) / 1000000.0 AS talk_s, (duration_us) / 1000000.0 AS duration_s,
    transferred, record_id, callback_id, source, strftime('%Y-%m-%dT%H:%M:%fZ', (logged_at) / 1000000.0, 'unixepoch') AS logged, started_at AS started_us, logged_at AS logged_us
FROM legs
WHERE logged_at IS NOT NULL;

ALTER TABLE calls DROP COLUMN stored_at;
