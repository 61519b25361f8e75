-- Cancellations of assets, and the attempts at returning their licenses to the vendor.

CREATE TABLE cancellations (
    id TEXT PRIMARY KEY NOT NULL,
    asset_id TEXT NOT NULL REFERENCES assets (id),
    -- From 1 in each asset.
    number BIGINT NOT NULL,
    state TEXT NOT NULL,
    requester_kind TEXT NOT NULL,
    requester_name TEXT NOT NULL,
    comment TEXT NOT NULL,
    requested_at_ms BIGINT NOT NULL,
    -- Who withdrew, declined or confirmed it.
    decided_by TEXT,
    decision_comment TEXT,
    decided_at_ms BIGINT,
    -- What the vendor is to know the return by, the same for every attempt.
    return_client_transaction_id TEXT NOT NULL UNIQUE,
    -- How the last attempt at the return ended, and what was wrong.
    reason TEXT,
    ended_at_ms BIGINT,
    -- The worker that attempts the return now; it may be dead.
    worker TEXT,
    -- The return is not to be attempted before.
    due_at_ms BIGINT NOT NULL,
    UNIQUE (asset_id, number)
);

-- One at a time: the database itself refuses a second one.
CREATE UNIQUE INDEX cancellations_open ON cancellations (asset_id)
    WHERE state IN ('requested', 'returning');

CREATE INDEX cancellations_due ON cancellations (state, due_at_ms);
CREATE INDEX cancellations_by_worker ON cancellations (worker);

CREATE TABLE return_attempts (
    cancellation_id TEXT NOT NULL REFERENCES cancellations (id),
    number BIGINT NOT NULL,
    begun_at_ms BIGINT NOT NULL,
    finished_at_ms BIGINT,
    result TEXT,
    problem TEXT,
    PRIMARY KEY (cancellation_id, number)
);

-- When the vendor was last asked what became of the license, whether it answered or not: one that it does not
-- answer for must not keep the others from being asked about. 0: never.
ALTER TABLE assets ADD COLUMN refresh_asked_at_ms BIGINT NOT NULL DEFAULT 0;

CREATE INDEX assets_to_refresh ON assets (license_token_status, refresh_asked_at_ms);
