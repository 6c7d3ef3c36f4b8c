-- How far each application was compared with its PBX's call history, and who is at it.
CREATE TABLE reconciliations (
    application BIGINT NOT NULL PRIMARY KEY,
    settled_until BIGINT NOT NULL,
    error TEXT,
    holder TEXT,
    held_until BIGINT NOT NULL
) WITHOUT ROWID;

-- What the PBX says of the agent as one of its queue agents, and what we told it last.
ALTER TABLE agent_states ADD COLUMN queue_login TEXT;
ALTER TABLE agent_states ADD COLUMN queue_login_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE agent_states ADD COLUMN mirror_to TEXT;
ALTER TABLE agent_states ADD COLUMN mirror_at BIGINT NOT NULL DEFAULT 0;

-- Counting a period of the call log reads this index and no row.
CREATE INDEX legs_by_start ON legs (application, started_at, kind, direction, extension, place, talk_us, logged_at, call_id)
    WHERE logged_at IS NOT NULL;
