-- Who takes the events of an application's AMI, and how that connection fares.
CREATE TABLE ami_links (
    application BIGINT NOT NULL PRIMARY KEY,
    holder TEXT,
    held_until BIGINT NOT NULL,
    up_since BIGINT,
    down_since BIGINT,
    down_why TEXT,
    version TEXT
);
