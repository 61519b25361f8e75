-- When the customer of an order was erased. NULL: it was not.
ALTER TABLE orders ADD COLUMN customer_erased_at_ms BIGINT;

-- The customers that were erased, at each instance that they had orders at. The file beside the database has them too, so that the list
-- outlives a restoration.
CREATE TABLE erased_customers (
    customer_id TEXT NOT NULL,
    instance_id TEXT NOT NULL REFERENCES instances (id),
    erased_at_ms BIGINT NOT NULL,
    PRIMARY KEY (customer_id, instance_id)
);
