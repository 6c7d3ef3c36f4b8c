-- Times in which no server had a connection to an application's PBX, and since when that is known.
CREATE TABLE outages (
    application BIGINT NOT NULL,
    began_at BIGINT NOT NULL,
    ended_at BIGINT,
    why TEXT NOT NULL,
    PRIMARY KEY (application, began_at)
);
ALTER TABLE ami_links ADD COLUMN watched_since BIGINT;
UPDATE ami_links SET watched_since = COALESCE(up_since, down_since);

-- How long each agent was what in each half hour that is long over: the marks, added up, so that a month is counted from these. `reason` is
-- empty where there is none.
CREATE TABLE agent_sums (
    application BIGINT NOT NULL,
    at BIGINT NOT NULL,
    agent TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    us BIGINT NOT NULL,
    PRIMARY KEY (application, at, agent, state, reason)
);

-- Counting a period of a queue reads this index and no row: rows are ordered by call, and so each would be a page of the disk.
DROP INDEX queue_entries_by_queue;
CREATE INDEX queue_entries_by_queue ON queue_entries (application, queue, joined_at, outcome, ended_at, talk_us, did);

-- For people who read with a tool for reports. Columns are added, never changed or taken away. Times are of the database's own type, in UTC;
-- durations are seconds. Ask with a range of `application` and the time named first: that is what indexes answer.

CREATE VIEW report_calls AS
SELECT application, to_timestamp((started_at) / 1000000.0) AS started, id AS call_id, pbx_call_id, direction, status, number, did,
    to_timestamp((ended_at) / 1000000.0) AS ended, ((ended_at - started_at) / 1000000.0)::double precision AS lasted_s, started_at AS started_us
FROM calls;

-- The rows of the call log: legs, and one for each missed call.
CREATE VIEW report_legs AS
SELECT application, to_timestamp((started_at) / 1000000.0) AS started, call_id, call_id || '-' || leg AS leg_id, kind, direction, status, number, did, extension,
    agent, place, to_timestamp((answered_at) / 1000000.0) AS answered, to_timestamp((ended_at) / 1000000.0) AS ended, ((talk_us) / 1000000.0)::double precision AS talk_s, ((duration_us) / 1000000.0)::double precision AS duration_s,
    transferred, record_id, callback_id, source, to_timestamp((logged_at) / 1000000.0) AS logged, started_at AS started_us, logged_at AS logged_us
FROM legs
WHERE logged_at IS NOT NULL;

-- One row for each time that a call came into a queue. `outcome` is null while it waits there.
CREATE VIEW report_queue_entries AS
SELECT application, queue, to_timestamp((joined_at) / 1000000.0) AS joined, call_id, entry, number, did, to_timestamp((ended_at) / 1000000.0) AS ended, outcome, agent,
    to_timestamp((answered_at) / 1000000.0) AS answered, ((ended_at - joined_at) / 1000000.0)::double precision AS waited_s, ((talk_us) / 1000000.0)::double precision AS talk_s, joined_at AS joined_us
FROM queue_entries;

-- A queue in each quarter of an hour, as raw counts: whoever gave up within 5 seconds is counted apart.
CREATE VIEW report_queue_intervals AS
SELECT application, queue, to_timestamp((joined_at - joined_at % 900000000) / 1000000.0) AS began, COUNT(*) AS queued,
    SUM(CASE WHEN outcome = 'answered' THEN 1 ELSE 0 END) AS answered,
    SUM(CASE WHEN outcome = 'abandoned' AND ended_at - joined_at >= 5000000 THEN 1 ELSE 0 END) AS abandoned,
    SUM(CASE WHEN outcome = 'abandoned' AND ended_at - joined_at < 5000000 THEN 1 ELSE 0 END) AS short_abandoned,
    SUM(CASE WHEN outcome = 'overflowed' THEN 1 ELSE 0 END) AS overflowed,
    SUM(CASE WHEN outcome = 'timed_out' THEN 1 ELSE 0 END) AS timed_out,
    SUM(CASE WHEN outcome = 'closed_hours' THEN 1 ELSE 0 END) AS closed_hours,
    SUM(CASE WHEN outcome = 'full' THEN 1 ELSE 0 END) AS "full",
    SUM(CASE WHEN outcome = 'no_staff' THEN 1 ELSE 0 END) AS no_staff,
    SUM(CASE WHEN outcome IS NULL THEN 1 ELSE 0 END) AS waiting,
    ((SUM(CASE WHEN outcome = 'answered' THEN ended_at - joined_at ELSE 0 END)) / 1000000.0)::double precision AS answered_wait_s,
    ((MAX(ended_at - joined_at)) / 1000000.0)::double precision AS longest_wait_s, ((SUM(talk_us)) / 1000000.0)::double precision AS talk_s, joined_at - joined_at % 900000000 AS began_us
FROM queue_entries
GROUP BY application, queue, joined_at - joined_at % 900000000;

-- What an agent was from `since` on. Where a deadline ended it (wrap-up, a reservation), `then_at` says when and `then_state` in what; else it
-- lasted until the agent's next row.
CREATE VIEW report_agent_times AS
SELECT application, agent, to_timestamp((at) / 1000000.0) AS since, state, reason, by_whom, to_timestamp((then_at) / 1000000.0) AS then_at, then_state, at AS since_us
FROM agent_times
UNION ALL
SELECT application, agent, to_timestamp((at) / 1000000.0) AS since, state, reason, by_whom, to_timestamp((then_at) / 1000000.0) AS then_at, then_state, at AS since_us
FROM agent_marks;

-- An id begins with the time in milliseconds, in hexadecimal digits, and has the order of time: a range of ids is what the key answers.
CREATE VIEW report_offers AS
SELECT application, id AS offer_id, to_timestamp((made_at) / 1000000.0) AS made, call_id, agent, extension, state, to_timestamp((ended_at) / 1000000.0) AS ended,
    ((ended_at - made_at) / 1000000.0)::double precision AS lasted_s, made_at AS made_us
FROM offers;
