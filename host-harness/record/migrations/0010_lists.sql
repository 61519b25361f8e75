-- What lists are filtered and ordered by, as columns and indexes: a page is read from an index, in its order, and nothing is decrypted for it.

-- The platform's own name for the customer, so far in JSON only. (`json_extract` is SQLite's; PostgreSQL has `->>`.)
ALTER TABLE orders ADD COLUMN customer_id TEXT NOT NULL DEFAULT '';
UPDATE orders SET customer_id = COALESCE(json_extract(customer, '$.id'), '');

CREATE INDEX orders_by_time ON orders (placed_at_ms, id);
CREATE INDEX orders_by_instance ON orders (instance_id, placed_at_ms, id);
CREATE INDEX orders_by_customer ON orders (customer_id, placed_at_ms, id);
CREATE INDEX orders_by_idempotency_key ON orders (idempotency_key, placed_at_ms, id);

ALTER TABLE assets ADD COLUMN customer_id TEXT NOT NULL DEFAULT '';
-- What a list shows of the sealed columns: the product key with all but its last group hidden, and the activation link's host. Of licenses from
-- before, only that they are there.
ALTER TABLE assets ADD COLUMN masked_product_key TEXT;
ALTER TABLE assets ADD COLUMN activation_link_host TEXT;
UPDATE assets
SET customer_id = (SELECT orders.customer_id FROM orders WHERE orders.id = assets.order_id),
    masked_product_key = CASE WHEN sealed_product_key IS NOT NULL THEN '*****' END,
    activation_link_host = CASE WHEN sealed_activation_link IS NOT NULL THEN '*****' END;

CREATE INDEX assets_by_time ON assets (created_at_ms, order_id, position);
CREATE INDEX assets_by_instance ON assets (instance_id, created_at_ms, order_id, position);
CREATE INDEX assets_by_order ON assets (order_id, created_at_ms, position);
CREATE INDEX assets_by_customer ON assets (customer_id, created_at_ms, order_id, position);
DROP INDEX assets_by_sync_status;
CREATE INDEX assets_by_sync_status ON assets (sync_status, created_at_ms, order_id, position);
CREATE INDEX assets_returned_elsewhere ON assets (created_at_ms, order_id, position)
    WHERE status = 'active' AND return_status = 'successful';

DROP INDEX services_runs_by_instance;
CREATE INDEX services_runs_by_instance ON services_runs (instance_id, asked_at_ms, id);

CREATE INDEX cancellations_by_time ON cancellations (requested_at_ms, asset_id, number);
CREATE INDEX cancellations_by_asset ON cancellations (asset_id, requested_at_ms, number);
CREATE INDEX cancellations_by_state ON cancellations (state, requested_at_ms, asset_id, number);
CREATE INDEX cancellations_open_by_time ON cancellations (requested_at_ms, asset_id, number)
    WHERE ended_at_ms IS NULL;

ALTER TABLE invoices ADD COLUMN instance_id TEXT NOT NULL DEFAULT '';
UPDATE invoices SET instance_id = (SELECT orders.instance_id FROM orders WHERE orders.id = invoices.order_id);

CREATE INDEX invoices_by_instance ON invoices (instance_id, number);

ALTER TABLE credits ADD COLUMN instance_id TEXT NOT NULL DEFAULT '';
ALTER TABLE credits ADD COLUMN order_id TEXT NOT NULL DEFAULT '';
UPDATE credits
SET instance_id = (SELECT assets.instance_id FROM assets WHERE assets.id = credits.asset_id),
    order_id = (SELECT assets.order_id FROM assets WHERE assets.id = credits.asset_id);

CREATE INDEX credits_by_instance ON credits (instance_id, number);
CREATE INDEX credits_by_order ON credits (order_id, number);

-- The order line of the asset that the e-mail is about.
ALTER TABLE mails ADD COLUMN order_id TEXT NOT NULL DEFAULT '';
ALTER TABLE mails ADD COLUMN position BIGINT NOT NULL DEFAULT 0;
UPDATE mails
SET order_id = (SELECT assets.order_id FROM assets WHERE assets.id = mails.asset_id),
    position = (SELECT assets.position FROM assets WHERE assets.id = mails.asset_id);

CREATE INDEX mails_by_time ON mails (created_at_ms, order_id, position, kind);
CREATE INDEX mails_by_state ON mails (state, created_at_ms, order_id, position, kind);
CREATE INDEX mails_by_order ON mails (order_id, created_at_ms, position, kind);
CREATE INDEX mails_by_asset ON mails (asset_id, created_at_ms, order_id, position, kind);
