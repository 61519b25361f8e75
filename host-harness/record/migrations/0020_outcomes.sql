-- What came of licenses, for who embeds the host: each is written in the transaction of what it tells. The number orders them:
-- SQLite writes one transaction at a time, so that none gets a lower number than one that was read.
CREATE TABLE outcomes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    asset_id TEXT NOT NULL REFERENCES assets (id),
    -- Why there is no license, or no return.
    problem TEXT,
    happened_at_ms BIGINT NOT NULL
);

-- A record that was restored numbers its outcomes anew from the last one that its copy had: a life of its own, which cursors name.
-- NULL: noticed before there were outcomes.
ALTER TABLE restorations ADD COLUMN life TEXT;
ALTER TABLE restorations ADD COLUMN last_outcome BIGINT NOT NULL DEFAULT 0;

-- The duties of the host that a platform can take over itself. One row.
CREATE TABLE duties (
    id BIGINT PRIMARY KEY NOT NULL CHECK (id = 1),
    -- Whether e-mails are written down to be sent.
    mails BOOLEAN NOT NULL DEFAULT TRUE,
    -- Whether licenses are charged and credited.
    charges BOOLEAN NOT NULL DEFAULT TRUE
);
INSERT INTO duties (id) VALUES (1);

-- How many outcomes of each kind there have been.
CREATE TABLE outcome_counts (
    kind TEXT PRIMARY KEY NOT NULL,
    outcomes BIGINT NOT NULL
);
