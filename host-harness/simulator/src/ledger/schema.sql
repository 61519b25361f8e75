-- Every license ever issued. Rows are never deleted; a return or a redemption fills in what was empty.
CREATE TABLE IF NOT EXISTS license (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Unique by an index, unless the simulator is told to forget purchases.
    client_transaction_id TEXT NOT NULL,
    transaction_id TEXT NOT NULL UNIQUE,
    license_token_id TEXT NOT NULL UNIQUE,
    -- SHA-256 of what was ordered, to tell a repeated purchase from another one under the same id.
    content_digest TEXT NOT NULL,
    client_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    offer_id TEXT NOT NULL,
    country TEXT NOT NULL,
    language TEXT NOT NULL,
    currency TEXT NOT NULL,
    reseller_id TEXT,
    reseller_name TEXT,
    customer_id TEXT NOT NULL,
    customer_name TEXT NOT NULL,
    customer_country TEXT NOT NULL,
    product_key TEXT NOT NULL UNIQUE,
    activation_link TEXT NOT NULL,
    token_status TEXT NOT NULL CHECK (token_status IN ('Activated', 'Redeemed', 'Return Accepted')),
    purchased_at_ms INTEGER NOT NULL,
    -- NULL: can't be returned.
    returnable_until_ms INTEGER,
    return_client_transaction_id TEXT UNIQUE,
    return_reason TEXT,
    returned_at_ms INTEGER,
    CHECK ((token_status = 'Return Accepted') = (returned_at_ms IS NOT NULL)),
    CHECK ((returned_at_ms IS NULL) = (return_client_transaction_id IS NULL))
) STRICT;

CREATE INDEX IF NOT EXISTS license_by_purchase ON license (client_transaction_id, number);

-- The assertions that were accepted, so that none is accepted twice, a restart in between included.
CREATE TABLE IF NOT EXISTS assertion (
    jti TEXT PRIMARY KEY,
    expires_at_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
