-- A digest of the product key that only the host key can make: no two assets have one key.
ALTER TABLE assets ADD COLUMN product_key_digest TEXT;
CREATE UNIQUE INDEX assets_by_product_key ON assets (product_key_digest) WHERE product_key_digest IS NOT NULL;
