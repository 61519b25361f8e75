-- Who works on what, when it is due, at what price it was ordered, and where its license is mailed to.

-- A worker's lease on all that it has taken. Whoever is not here any more, or late, has lost it.
CREATE TABLE workers (
    id TEXT PRIMARY KEY NOT NULL,
    expires_at_ms BIGINT NOT NULL
);

-- The worker that attempts the asset now; it may be dead.
ALTER TABLE assets ADD COLUMN worker TEXT;
-- Not to be attempted before.
ALTER TABLE assets ADD COLUMN due_at_ms BIGINT NOT NULL DEFAULT 0;
-- Since when its license is being bought: when it was ordered, or tried again by an operator.
ALTER TABLE assets ADD COLUMN wanted_since_ms BIGINT NOT NULL DEFAULT 0;
-- Whether the operator was told that it takes too long.
ALTER TABLE assets ADD COLUMN overdue_told BOOLEAN NOT NULL DEFAULT FALSE;
-- What it was sold for.
ALTER TABLE assets ADD COLUMN currency TEXT;
ALTER TABLE assets ADD COLUMN price_minor_units BIGINT;
-- When the vendor last said what became of the license.
ALTER TABLE assets ADD COLUMN refreshed_at_ms BIGINT;

CREATE INDEX assets_due ON assets (sync_status, due_at_ms);
CREATE INDEX assets_by_worker ON assets (worker);

-- Where and in which language the customer is written to.
ALTER TABLE orders ADD COLUMN contact TEXT;
