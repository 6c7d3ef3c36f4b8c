-- Offers that an agent let ring out, one after the other.
ALTER TABLE agent_states ADD COLUMN misses INTEGER NOT NULL DEFAULT 0;

-- Calls whose PBX asks again and again where they shall go: where each is now. `rank_at` is the order of those who wait; `silent_at` is
-- when a call that is not asked about any more counts as gone.
CREATE TABLE routed_calls (
    application BIGINT NOT NULL,
    call_id TEXT NOT NULL,
    pbx_call_id TEXT NOT NULL,
    caller TEXT NOT NULL,
    did TEXT,
    place TEXT NOT NULL,
    queue TEXT,
    entry INTEGER NOT NULL,
    entered_at BIGINT NOT NULL,
    joined_at BIGINT NOT NULL,
    rank_at BIGINT NOT NULL,
    silent_at BIGINT NOT NULL,
    waiting BOOLEAN NOT NULL,
    ended_at BIGINT,
    PRIMARY KEY (application, call_id)
);
CREATE INDEX routed_calls_waiting ON routed_calls (application, queue, rank_at) WHERE waiting;
CREATE INDEX routed_calls_silent ON routed_calls (silent_at) WHERE ended_at IS NULL;

-- One row for each time that a call came into a queue, and what became of it there.
CREATE TABLE queue_entries (
    application BIGINT NOT NULL,
    call_id TEXT NOT NULL,
    entry INTEGER NOT NULL,
    queue TEXT NOT NULL,
    number TEXT NOT NULL,
    did TEXT,
    joined_at BIGINT NOT NULL,
    ended_at BIGINT,
    outcome TEXT,
    agent TEXT,
    answered_at BIGINT,
    talk_us BIGINT NOT NULL,
    PRIMARY KEY (application, call_id, entry)
);
CREATE INDEX queue_entries_by_queue ON queue_entries (application, queue, joined_at);
CREATE INDEX queue_entries_by_answer ON queue_entries (application, answered_at) WHERE agent IS NOT NULL;

-- What each agent was from `at` on: `state` until `then_at`, from there `then_state`, until the next row. So time in state has no gap.
CREATE TABLE agent_times (
    application BIGINT NOT NULL,
    agent TEXT NOT NULL,
    at BIGINT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    by_whom TEXT NOT NULL,
    then_at BIGINT,
    then_state TEXT,
    PRIMARY KEY (application, agent, at)
);
