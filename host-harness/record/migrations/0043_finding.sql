-- Licenses by the beginning of a name that the vendor gave their purchase, or the license token.
CREATE INDEX assets_by_transaction ON assets (transaction_id);
CREATE INDEX assets_by_license_token ON assets (license_token_id);
