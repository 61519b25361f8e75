-- What lists are filtered by since: products, and licenses that were cancelled.
CREATE INDEX assets_by_product ON assets (product_code, created_at_ms, order_id, position);
CREATE INDEX assets_cancelled ON assets (created_at_ms, order_id, position) WHERE status = 'cancelled';
-- The customers of instances, each by the latest order.
CREATE INDEX orders_of_customers ON orders (customer_id, instance_id, placed_at_ms, id);
-- Licenses of customers of instances, which are counted.
CREATE INDEX assets_of_customers ON assets (customer_id, instance_id);
