-- The record of a host. Kept to what SQLite and PostgreSQL both take, but for BLOB.
-- Ids are UUIDs as text; times are milliseconds since 1970-01-01T00:00:00Z; columns named `sealed_*`
-- are encrypted under the host key.

CREATE TABLE host_key_checks (
    id BIGINT PRIMARY KEY NOT NULL,
    sealed BLOB NOT NULL
);

CREATE TABLE certificates (
    thumbprint TEXT PRIMARY KEY NOT NULL,
    certificate BLOB NOT NULL,
    sealed_private_key BLOB NOT NULL,
    imported_at_ms BIGINT NOT NULL
);

CREATE TABLE certificate_chains (
    thumbprint TEXT NOT NULL REFERENCES certificates (thumbprint) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    certificate BLOB NOT NULL,
    PRIMARY KEY (thumbprint, position)
);

CREATE TABLE instances (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    currency TEXT NOT NULL,
    options TEXT NOT NULL,
    reach TEXT NOT NULL,
    standing TEXT NOT NULL,
    version BIGINT NOT NULL,
    settings TEXT NOT NULL,
    authorities TEXT NOT NULL,
    thumbprint TEXT REFERENCES certificates (thumbprint),
    services_entity_tag TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL
);

CREATE INDEX instances_by_thumbprint ON instances (thumbprint);

CREATE TABLE instance_history (
    instance_id TEXT NOT NULL REFERENCES instances (id),
    version BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at_ms BIGINT NOT NULL,
    standing TEXT NOT NULL,
    changes TEXT NOT NULL,
    PRIMARY KEY (instance_id, version)
);

CREATE TABLE product_types (
    instance_id TEXT NOT NULL REFERENCES instances (id),
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    derivative TEXT NOT NULL,
    split_quantity BOOLEAN NOT NULL,
    manual_cancellation BOOLEAN NOT NULL,
    attributes TEXT NOT NULL,
    PRIMARY KEY (instance_id, id)
);

CREATE TABLE products (
    instance_id TEXT NOT NULL REFERENCES instances (id),
    code TEXT NOT NULL,
    product_type TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    attribute_values TEXT NOT NULL,
    min_quantity BIGINT NOT NULL,
    max_quantity BIGINT,
    returnable BOOLEAN NOT NULL,
    active BOOLEAN NOT NULL,
    published BOOLEAN NOT NULL,
    discontinued BOOLEAN NOT NULL,
    PRIMARY KEY (instance_id, code),
    FOREIGN KEY (instance_id, product_type) REFERENCES product_types (instance_id, id)
);

CREATE TABLE orders (
    id TEXT PRIMARY KEY NOT NULL,
    instance_id TEXT NOT NULL REFERENCES instances (id),
    idempotency_key TEXT,
    request_digest TEXT NOT NULL,
    customer TEXT NOT NULL,
    reseller TEXT,
    placed_at_ms BIGINT NOT NULL,
    UNIQUE (instance_id, idempotency_key)
);

CREATE TABLE order_lines (
    order_id TEXT NOT NULL REFERENCES orders (id),
    position BIGINT NOT NULL,
    product_code TEXT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity = 1),
    PRIMARY KEY (order_id, position)
);

CREATE TABLE assets (
    id TEXT PRIMARY KEY NOT NULL,
    instance_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    product_code TEXT NOT NULL,
    product_name TEXT NOT NULL,
    generation BIGINT NOT NULL,
    client_transaction_id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    sync_status TEXT NOT NULL,
    reason TEXT,
    transaction_id TEXT,
    license_token_id TEXT,
    sealed_product_key BLOB,
    sealed_activation_link BLOB,
    license_token_status TEXT,
    return_status TEXT NOT NULL,
    purchased_at_ms BIGINT,
    returnable_until_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    UNIQUE (order_id, position),
    UNIQUE (instance_id, license_token_id),
    FOREIGN KEY (order_id, position) REFERENCES order_lines (order_id, position),
    FOREIGN KEY (instance_id, product_code) REFERENCES products (instance_id, code)
);

CREATE INDEX assets_by_sync_status ON assets (sync_status, instance_id);

CREATE TABLE attempts (
    asset_id TEXT NOT NULL REFERENCES assets (id),
    number BIGINT NOT NULL,
    client_transaction_id TEXT NOT NULL,
    begun_at_ms BIGINT NOT NULL,
    finished_at_ms BIGINT,
    result TEXT,
    problem TEXT,
    PRIMARY KEY (asset_id, number)
);
