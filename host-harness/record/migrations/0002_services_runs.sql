-- Runs of Get Services Definition, what each of them changed, and the operator's prices.

CREATE TABLE services_runs (
    id TEXT PRIMARY KEY NOT NULL,
    instance_id TEXT NOT NULL REFERENCES instances (id),
    state TEXT NOT NULL,
    lease_owner TEXT,
    lease_expires_at_ms BIGINT,
    asked_at_ms BIGINT NOT NULL,
    started_at_ms BIGINT,
    ended_at_ms BIGINT,
    progress TEXT,
    new_products BIGINT NOT NULL,
    changed_products BIGINT NOT NULL,
    discontinued_products BIGINT NOT NULL,
    revived_products BIGINT NOT NULL,
    skipped_items BIGINT NOT NULL,
    unchanged BOOLEAN NOT NULL,
    reason TEXT
);

-- One run at a time: the database itself refuses a second one.
CREATE UNIQUE INDEX services_runs_open ON services_runs (instance_id)
    WHERE state IN ('not_started', 'in_progress');

CREATE INDEX services_runs_by_instance ON services_runs (instance_id, asked_at_ms);

CREATE TABLE services_run_log (
    run_id TEXT NOT NULL REFERENCES services_runs (id),
    number BIGINT NOT NULL,
    logged_at_ms BIGINT NOT NULL,
    level TEXT NOT NULL,
    offer TEXT NOT NULL,
    action TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (run_id, number)
);

CREATE TABLE services_run_differences (
    run_id TEXT NOT NULL REFERENCES services_runs (id),
    code TEXT NOT NULL,
    kind TEXT NOT NULL,
    fields TEXT NOT NULL,
    PRIMARY KEY (run_id, code, kind)
);

-- Values that a product had once and has no more. An asset may have been sold with one, so they stay in
-- the list of their attribute.
CREATE TABLE former_attribute_values (
    instance_id TEXT NOT NULL,
    product_type TEXT NOT NULL,
    attribute TEXT NOT NULL,
    value_key TEXT NOT NULL,
    label TEXT NOT NULL,
    PRIMARY KEY (instance_id, product_type, attribute, value_key),
    FOREIGN KEY (instance_id, product_type) REFERENCES product_types (instance_id, id)
);

CREATE TABLE product_prices (
    instance_id TEXT NOT NULL,
    code TEXT NOT NULL,
    currency TEXT NOT NULL,
    minor_units BIGINT NOT NULL CHECK (minor_units >= 0),
    PRIMARY KEY (instance_id, code, currency),
    FOREIGN KEY (instance_id, code) REFERENCES products (instance_id, code)
);
