-- Billing platforms that buy by their own contract. A key is not on record, only what it is checked by.
CREATE TABLE platforms (
    id TEXT PRIMARY KEY NOT NULL,
    -- Never used again: acts on record name a platform by it, and the keys of its orders have it. Addresses have it in any case.
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    -- The tenant whose platform it is. Empty: the operator's.
    owner TEXT NOT NULL,
    -- The instance that it buys at. No reference: an instance may be removed once its platform is revoked.
    instance_id TEXT NOT NULL,
    -- The id that the platform made, and the SHA-256 of its key. NULL: neither is known yet.
    application_id TEXT,
    key_digest BLOB,
    -- SHA-256 of the key before.
    former_key_digest BLOB,
    -- Until when the key before is taken too. NULL: there is none.
    former_key_until_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    -- NULL: it has the key that it was registered with, or none.
    rotated_at_ms BIGINT,
    -- NULL: it was not.
    revoked_at_ms BIGINT
);

-- An application is that of one platform.
CREATE UNIQUE INDEX platforms_by_application ON platforms (application_id)
WHERE application_id IS NOT NULL AND revoked_at_ms IS NULL;

-- The platform that placed an order, which mails and charges for itself. NULL: none did.
ALTER TABLE orders ADD COLUMN platform_id TEXT REFERENCES platforms (id);

-- The licenses of which a platform was told to notify its customer.
CREATE TABLE platform_notices (
    asset_id TEXT PRIMARY KEY NOT NULL REFERENCES assets (id),
    told_at_ms BIGINT NOT NULL
);

-- Licenses that were tried again, which count in the spending limit of that day.
CREATE INDEX assets_tried_again ON assets (instance_id, wanted_since_ms) WHERE wanted_since_ms > created_at_ms;
