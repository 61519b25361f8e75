-- The name space in which ids of orders with an idempotency key are made, sealed under the host key: it stays what it was when
-- another host key takes the place of the one that it was made with. NULL: the record was not opened since this column is there.
ALTER TABLE host_key_checks ADD COLUMN sealed_order_ids BLOB;
