-- One row an application: its settings as declared; lists are rows of `declared`.
CREATE TABLE applications (
    id BIGINT NOT NULL PRIMARY KEY,
    login TEXT NOT NULL,
    body TEXT NOT NULL
);

-- Agents, groups, queues, numbers and extensions as declared. `origin` says who made the row: apply, rest, or pbx (learned).
CREATE TABLE declared (
    application BIGINT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    origin TEXT NOT NULL,
    PRIMARY KEY (application, kind, id)
);

-- Bumped by every writer of declarations and tokens; servers poll it.
CREATE TABLE revision (
    id BIGINT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO revision (id, value) VALUES (1, 0);

CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    application BIGINT,
    agent TEXT,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

CREATE TABLE contacts (
    application BIGINT NOT NULL,
    id TEXT NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    phones TEXT NOT NULL,
    owner TEXT,
    deputy TEXT,
    external_id TEXT,
    origin TEXT NOT NULL,
    PRIMARY KEY (application, id)
);
CREATE UNIQUE INDEX contacts_by_key ON contacts (application, key);

-- Owner and deputy stand here again, so that a lookup reads one row.
CREATE TABLE contact_phones (
    application BIGINT NOT NULL,
    phone TEXT NOT NULL,
    contact TEXT NOT NULL,
    owner TEXT,
    deputy TEXT,
    PRIMARY KEY (application, phone)
);

-- What PBXs sent, as sent. The key is the event's own time and a digest of what makes it the same event.
CREATE TABLE journal (
    application BIGINT NOT NULL,
    at BIGINT NOT NULL,
    digest BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    hook TEXT NOT NULL,
    call_id TEXT,
    content_type TEXT NOT NULL,
    raw BYTEA NOT NULL,
    error TEXT,
    PRIMARY KEY (application, at, digest)
);
CREATE INDEX journal_by_arrival ON journal (application, received_at);

CREATE TABLE calls (
    application BIGINT NOT NULL,
    id TEXT NOT NULL,
    pbx_call_id TEXT NOT NULL,
    direction TEXT NOT NULL,
    status TEXT NOT NULL,
    number TEXT,
    did TEXT,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    first_received_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    facts TEXT NOT NULL,
    PRIMARY KEY (application, id)
);
CREATE INDEX calls_by_start ON calls (application, started_at, id);

CREATE TABLE legs (
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
CREATE INDEX legs_logged ON legs (application, logged_at, call_id, leg) WHERE logged_at IS NOT NULL;
CREATE INDEX legs_by_number ON legs (application, number, logged_at) WHERE logged_at IS NOT NULL;
CREATE INDEX legs_by_record ON legs (application, record_id) WHERE record_id IS NOT NULL;

-- Legs that keep an extension busy now: few rows, made and removed with the fold.
CREATE TABLE live_legs (
    application BIGINT NOT NULL,
    call_id TEXT NOT NULL,
    leg TEXT NOT NULL,
    extension TEXT NOT NULL,
    answered BOOLEAN NOT NULL,
    since BIGINT NOT NULL,
    check_at BIGINT NOT NULL,
    given_up BOOLEAN NOT NULL,
    PRIMARY KEY (application, call_id, leg)
);
CREATE INDEX live_legs_by_extension ON live_legs (application, extension);
CREATE INDEX live_legs_due ON live_legs (check_at);

CREATE TABLE agent_states (
    application BIGINT NOT NULL,
    agent TEXT NOT NULL,
    extension TEXT,
    manual_status TEXT NOT NULL,
    manual_reason TEXT,
    next_status TEXT,
    next_reason TEXT,
    status_since BIGINT NOT NULL,
    ringing INTEGER NOT NULL,
    talking INTEGER NOT NULL,
    claim_call TEXT,
    claim_until BIGINT NOT NULL,
    wrap_until BIGINT NOT NULL,
    cool_until BIGINT NOT NULL,
    cool_cause TEXT,
    last_offered_at BIGINT NOT NULL,
    engaged_since BIGINT NOT NULL,
    PRIMARY KEY (application, agent)
);

CREATE TABLE offers (
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
CREATE INDEX offers_pending ON offers (until) WHERE state = 'pending';

-- An id begins with the time and a part of the call's id, so that the decisions about a call are found without an index of their own: calls
-- come in no order, and such an index costs a page of the disk for each row.
CREATE TABLE decisions (
    application BIGINT NOT NULL,
    id TEXT NOT NULL,
    at BIGINT NOT NULL,
    call_id TEXT,
    pbx_call_id TEXT,
    caller TEXT NOT NULL,
    outcome TEXT NOT NULL,
    agents TEXT NOT NULL,
    reason TEXT NOT NULL,
    candidates TEXT NOT NULL,
    took_us BIGINT NOT NULL,
    late BOOLEAN NOT NULL,
    PRIMARY KEY (application, id)
);

CREATE TABLE callbacks (
    application BIGINT NOT NULL,
    id TEXT NOT NULL,
    idempotency_key TEXT,
    request TEXT NOT NULL,
    extension TEXT NOT NULL,
    src_num TEXT NOT NULL,
    dst_num TEXT NOT NULL,
    caller_id_name TEXT,
    caller_id_number TEXT,
    status TEXT NOT NULL,
    reason TEXT,
    unclear BOOLEAN NOT NULL,
    finished BOOLEAN NOT NULL,
    call_id TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (application, id)
);
CREATE UNIQUE INDEX callbacks_by_key ON callbacks (application, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX callbacks_open ON callbacks (application, extension, created_at, id) WHERE NOT finished;

CREATE TABLE record_links (
    application BIGINT NOT NULL,
    id TEXT NOT NULL,
    record_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    PRIMARY KEY (application, id)
);
CREATE INDEX record_links_by_record ON record_links (application, record_id);

CREATE TABLE record_plays (
    application BIGINT NOT NULL,
    id TEXT NOT NULL,
    record_id TEXT NOT NULL,
    link TEXT,
    by_whom TEXT NOT NULL,
    address TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (application, id)
);

-- Recordings that were deleted through us: their legs stay, their audio does not.
CREATE TABLE records_deleted (
    application BIGINT NOT NULL,
    record_id TEXT NOT NULL,
    deleted_at BIGINT NOT NULL,
    PRIMARY KEY (application, record_id)
);

-- What the maintenance has done: how far the journal was pruned, and the key of the signed links.
CREATE TABLE facts (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
