-- E-mails are listed by their customer and by their kind, each from an index in the list's order.
ALTER TABLE mails ADD COLUMN customer_id TEXT NOT NULL DEFAULT '';
UPDATE mails SET customer_id = COALESCE((SELECT customer_id FROM orders WHERE orders.id = mails.order_id), '');
CREATE INDEX mails_by_customer ON mails (customer_id, created_at_ms, order_id, position, kind, id);
CREATE INDEX mails_by_kind ON mails (kind, created_at_ms, order_id, position, id);
