-- What customers are charged and credited, and the e-mails that are to be sent to them.

-- Running numbers without gaps: the last one of each kind.
CREATE TABLE running_numbers (
    kind TEXT PRIMARY KEY NOT NULL,
    last BIGINT NOT NULL
);

CREATE TABLE invoices (
    order_id TEXT PRIMARY KEY NOT NULL REFERENCES orders (id),
    number BIGINT NOT NULL UNIQUE,
    issued_at_ms BIGINT NOT NULL
);

-- A license is charged once: the database itself refuses a second line.
CREATE TABLE invoice_lines (
    asset_id TEXT PRIMARY KEY NOT NULL REFERENCES assets (id),
    order_id TEXT NOT NULL REFERENCES invoices (order_id),
    position BIGINT NOT NULL,
    product_code TEXT NOT NULL,
    product_name TEXT NOT NULL,
    currency TEXT NOT NULL,
    minor_units BIGINT NOT NULL,
    charged_at_ms BIGINT NOT NULL,
    UNIQUE (order_id, position)
);

-- The full amount of an invoice line, given back once.
CREATE TABLE credits (
    asset_id TEXT PRIMARY KEY NOT NULL REFERENCES invoice_lines (asset_id),
    number BIGINT NOT NULL UNIQUE,
    currency TEXT NOT NULL,
    minor_units BIGINT NOT NULL,
    cancellation_id TEXT,
    credited_at_ms BIGINT NOT NULL
);

-- The outbox. A row holds no secret: what is sent is composed from the asset.
CREATE TABLE mails (
    id TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    asset_id TEXT NOT NULL REFERENCES assets (id),
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    -- Not to be sent before.
    due_at_ms BIGINT NOT NULL,
    -- The worker that sends it now; it may be dead.
    worker TEXT,
    problem TEXT,
    created_at_ms BIGINT NOT NULL,
    sent_at_ms BIGINT,
    UNIQUE (kind, asset_id)
);

CREATE INDEX mails_due ON mails (state, due_at_ms);
CREATE INDEX mails_by_worker ON mails (worker);

-- One row at most.
CREATE TABLE mail_settings (
    id BIGINT PRIMARY KEY NOT NULL CHECK (id = 1),
    settings TEXT NOT NULL,
    sealed_password BLOB,
    saved_at_ms BIGINT NOT NULL
);
