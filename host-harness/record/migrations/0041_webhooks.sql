-- Receivers of outcomes over HTTPS.
CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    -- The owner of whose instances it is told. Empty: of all.
    owner TEXT NOT NULL,
    url TEXT NOT NULL,
    -- The kinds of outcomes, as JSON. Empty: all.
    kinds TEXT NOT NULL,
    allowed_networks TEXT NOT NULL,
    trusted_authorities_pem TEXT,
    sealed_keys BLOB NOT NULL,
    -- The keys before the last rotation, which sign as well until then.
    sealed_former_keys BLOB,
    former_keys_until_ms BIGINT,
    state TEXT NOT NULL,
    -- Why it is off, where nobody has said so.
    problem TEXT,
    -- The last outcome that deliveries were made of, or that it is not told of.
    last_outcome BIGINT NOT NULL,
    delivered_at_ms BIGINT,
    -- When it failed for the first time since it last took something, and how often it has since. NULL: it has not.
    failing_since_ms BIGINT,
    failures BIGINT NOT NULL,
    -- Nothing is sent to it before then.
    rest_until_ms BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL
);

-- Outcomes on their way to receivers. A receiver is told of an outcome once, and may hear it several times.
CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    webhook_id TEXT NOT NULL REFERENCES webhooks (id),
    outcome BIGINT NOT NULL REFERENCES outcomes (number),
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    -- The attempts since somebody asked for it, or since it was made: pauses grow with them.
    tries BIGINT NOT NULL,
    -- Rises whenever somebody asks for it, so that an attempt from before that decides nothing.
    generation BIGINT NOT NULL,
    -- While a worker sends it, the end of the time that it has for that.
    due_at_ms BIGINT NOT NULL,
    delivered_at_ms BIGINT,
    UNIQUE (webhook_id, outcome)
);

-- The next deliveries to each receiver.
CREATE INDEX deliveries_by_due_time ON deliveries (webhook_id, due_at_ms) WHERE state = 'pending';

-- Deliveries in the order of what they tell.
CREATE INDEX deliveries_by_outcome ON deliveries (outcome, id);

-- The outcomes of a kind of an asset.
CREATE INDEX outcomes_by_asset ON outcomes (asset_id, kind, number);

-- Deliveries of a state, to all receivers or to one.
CREATE INDEX deliveries_by_state ON deliveries (state, outcome, id);
CREATE INDEX deliveries_of_webhook_by_state ON deliveries (webhook_id, state, outcome, id);

-- Every attempt of a delivery that has ended.
CREATE TABLE delivery_attempts (
    delivery_id TEXT NOT NULL REFERENCES deliveries (id),
    number BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    -- The HTTP status. NULL: there was no answer.
    status BIGINT,
    -- Why it was not taken. NULL: it was.
    problem TEXT,
    PRIMARY KEY (delivery_id, number)
);
