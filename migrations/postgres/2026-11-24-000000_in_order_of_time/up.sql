-- Rows that come in no order, as calls and changes of agents do, are a page of the disk each. What is new stands in the order of time instead,
-- where one page takes many.

-- An offer's id begins with the time. Of a call in hand the offers that bind or were made in vain are found by a small index; the others are
-- searched in the index of ids, in the time in which the call went on.
CREATE TABLE offers_in_order (
    application BIGINT NOT NULL,
    id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    extension TEXT NOT NULL,
    state TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    until BIGINT NOT NULL,
    ended_at BIGINT,
    PRIMARY KEY (application, id)
);
INSERT INTO offers_in_order SELECT application, id, call_id, agent, extension, state, made_at, until, ended_at FROM offers;
DROP TABLE offers;
ALTER TABLE offers_in_order RENAME TO offers;
CREATE INDEX offers_pending ON offers (until) WHERE state = 'pending';
CREATE INDEX offers_in_hand ON offers (application, call_id)
    WHERE ended_at IS NULL OR state = 'no_answer' OR state = 'busy' OR state = 'rejected' OR state = 'unreachable';

-- Changes of agents as they come; once they are old they move to `agent_times`, where those of one agent stand together.
CREATE TABLE agent_marks (
    application BIGINT NOT NULL,
    at BIGINT NOT NULL,
    agent TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    by_whom TEXT NOT NULL,
    then_at BIGINT,
    then_state TEXT,
    PRIMARY KEY (application, at, agent)
);
