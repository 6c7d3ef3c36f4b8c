-- How the API of an application's PBX fares: what is left of the hour, until when we are told to wait and why, since when it does not
-- answer, who asks for statistics now, and what the last check found. One row for all nodes.
CREATE TABLE pbx_lines (
    application BIGINT NOT NULL PRIMARY KEY,
    hour_limit BIGINT,
    hour_left BIGINT,
    resets_at BIGINT NOT NULL,
    wait_until BIGINT NOT NULL,
    wait_why TEXT,
    down_since BIGINT,
    down_why TEXT,
    turn_until BIGINT NOT NULL,
    turn_of TEXT,
    checked_at BIGINT,
    findings TEXT
);

-- What setting a PBX up has to remember of one part of it, such as an IVR: the rules that are ours.
CREATE TABLE provisioned (
    application BIGINT NOT NULL,
    part TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (application, part)
);
