INSERT INTO agent_times SELECT application, agent, at, state, reason, by_whom, then_at, then_state FROM agent_marks WHERE true
    ON CONFLICT DO NOTHING;
DROP TABLE agent_marks;

CREATE TABLE offers_by_call (
    application BIGINT NOT NULL,
    call_id TEXT NOT NULL,
    id TEXT NOT NULL,
    agent TEXT NOT NULL,
    extension TEXT NOT NULL,
    state TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    until BIGINT NOT NULL,
    ended_at BIGINT,
    PRIMARY KEY (application, call_id, id)
);
INSERT INTO offers_by_call SELECT application, call_id, id, agent, extension, state, made_at, until, ended_at FROM offers;
DROP TABLE offers;
ALTER TABLE offers_by_call RENAME TO offers;
CREATE INDEX offers_pending ON offers (until) WHERE state = 'pending';
