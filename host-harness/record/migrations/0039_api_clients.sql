-- Clients of the API, each with a key of its own. A key is not on record, only what it is checked by.
CREATE TABLE api_clients (
    id TEXT PRIMARY KEY NOT NULL,
    -- Never used again: acts on record name a client by it.
    name TEXT NOT NULL UNIQUE,
    -- The tenant whose client it is. Empty: the operator's.
    owner TEXT NOT NULL,
    -- JSON: the words of what it may do.
    scopes TEXT NOT NULL,
    -- JSON: the ids of the instances that it may use; NULL: all of its owner's. No reference: a client is nothing that an instance is
    -- kept for.
    instances TEXT,
    -- SHA-256 of its key, and of the one before.
    key_digest BLOB NOT NULL,
    former_key_digest BLOB,
    -- Until when the key before is taken too. NULL: there is none.
    former_key_until_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    -- NULL: it has its first key.
    rotated_at_ms BIGINT,
    -- NULL: it was not.
    revoked_at_ms BIGINT
);
