-- Charges in the place of invoices: each is written once, with its lines, and never changes. An instance numbers its own, under a
-- prefix. What was an invoice is a charge of the same bare number, with all of the lines that it had.

CREATE TABLE charge_series (
    -- The instance. No reference: a series without charges is nothing that an instance is kept for.
    instance_id TEXT PRIMARY KEY NOT NULL,
    prefix TEXT NOT NULL,
    -- Running numbers without gaps: the last ones.
    last_charge BIGINT NOT NULL DEFAULT 0,
    last_credit BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE charges (
    -- The order in which they were made, all instances together.
    id INTEGER PRIMARY KEY,
    instance_id TEXT NOT NULL REFERENCES instances (id),
    -- Empty: numbered for the whole host, before there were prefixes.
    prefix TEXT NOT NULL,
    number BIGINT NOT NULL,
    order_id TEXT NOT NULL REFERENCES orders (id),
    customer_id TEXT NOT NULL,
    charged_at_ms BIGINT NOT NULL,
    UNIQUE (instance_id, prefix, number)
);

-- A license is charged once: the database itself refuses a second line.
CREATE TABLE charge_lines (
    asset_id TEXT PRIMARY KEY NOT NULL REFERENCES assets (id),
    charge_id BIGINT NOT NULL REFERENCES charges (id),
    position BIGINT NOT NULL,
    product_code TEXT NOT NULL,
    product_name TEXT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity >= 1),
    currency TEXT NOT NULL,
    minor_units BIGINT NOT NULL,
    charged_at_ms BIGINT NOT NULL,
    UNIQUE (charge_id, position)
);

INSERT INTO charges (instance_id, prefix, number, order_id, customer_id, charged_at_ms)
SELECT instance_id, '', number, order_id, (SELECT orders.customer_id FROM orders WHERE orders.id = invoices.order_id), issued_at_ms
FROM invoices ORDER BY number;

INSERT INTO charge_lines (asset_id, charge_id, position, product_code, product_name, quantity, currency, minor_units, charged_at_ms)
SELECT asset_id, (SELECT charges.id FROM charges WHERE charges.order_id = invoice_lines.order_id), position, product_code,
       product_name, quantity, currency, minor_units, charged_at_ms
FROM invoice_lines;

CREATE TABLE former_credits AS SELECT * FROM credits;
DROP TABLE credits;
DROP TABLE invoice_lines;
DROP TABLE invoices;
DROP TABLE running_numbers;

-- The full amount of a charge's line, given back once. What it credits is copied, so that it can be told by itself.
CREATE TABLE credits (
    id INTEGER PRIMARY KEY,
    instance_id TEXT NOT NULL REFERENCES instances (id),
    prefix TEXT NOT NULL,
    number BIGINT NOT NULL,
    charge_id BIGINT NOT NULL REFERENCES charges (id),
    charge_prefix TEXT NOT NULL,
    charge_number BIGINT NOT NULL,
    order_id TEXT NOT NULL REFERENCES orders (id),
    customer_id TEXT NOT NULL,
    asset_id TEXT NOT NULL UNIQUE REFERENCES charge_lines (asset_id),
    position BIGINT NOT NULL,
    product_code TEXT NOT NULL,
    product_name TEXT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity >= 1),
    currency TEXT NOT NULL,
    minor_units BIGINT NOT NULL,
    reason TEXT NOT NULL,
    cancellation_id TEXT,
    credited_at_ms BIGINT NOT NULL,
    UNIQUE (instance_id, prefix, number)
);

INSERT INTO credits (instance_id, prefix, number, charge_id, charge_prefix, charge_number, order_id, customer_id, asset_id, position,
                     product_code, product_name, quantity, currency, minor_units, reason, cancellation_id, credited_at_ms)
SELECT f.instance_id, '', f.number, c.id, c.prefix, c.number, f.order_id, c.customer_id, f.asset_id, l.position,
       l.product_code, l.product_name, l.quantity, f.currency, f.minor_units, 'return', f.cancellation_id, f.credited_at_ms
FROM former_credits f LEFT JOIN charge_lines l ON l.asset_id = f.asset_id LEFT JOIN charges c ON c.id = l.charge_id
ORDER BY f.number;
DROP TABLE former_credits;

CREATE INDEX charges_by_time ON charges (charged_at_ms, id);
CREATE INDEX charges_by_instance ON charges (instance_id, charged_at_ms, id);
CREATE INDEX charges_by_order ON charges (order_id, charged_at_ms, id);
CREATE INDEX charges_by_customer ON charges (customer_id, charged_at_ms, id);
CREATE INDEX charges_by_number ON charges (prefix, number, charged_at_ms, id);
CREATE INDEX credits_by_time ON credits (credited_at_ms, id);
CREATE INDEX credits_by_instance ON credits (instance_id, credited_at_ms, id);
CREATE INDEX credits_by_order ON credits (order_id, credited_at_ms, id);
CREATE INDEX credits_by_customer ON credits (customer_id, credited_at_ms, id);
CREATE INDEX credits_by_number ON credits (prefix, number, credited_at_ms, id);
CREATE INDEX credits_by_charge ON credits (charge_id);

-- What was told to a customer stays as it was told.
CREATE TRIGGER charges_stay BEFORE UPDATE ON charges BEGIN SELECT RAISE(ABORT, 'a charge never changes'); END;
CREATE TRIGGER charges_are_kept BEFORE DELETE ON charges BEGIN SELECT RAISE(ABORT, 'a charge is kept'); END;
CREATE TRIGGER charge_lines_stay BEFORE UPDATE ON charge_lines BEGIN SELECT RAISE(ABORT, 'a charge never changes'); END;
CREATE TRIGGER charge_lines_are_kept BEFORE DELETE ON charge_lines BEGIN SELECT RAISE(ABORT, 'a charge is kept'); END;
CREATE TRIGGER credits_stay BEFORE UPDATE ON credits BEGIN SELECT RAISE(ABORT, 'a credit never changes'); END;
CREATE TRIGGER credits_are_kept BEFORE DELETE ON credits BEGIN SELECT RAISE(ABORT, 'a credit is kept'); END;
