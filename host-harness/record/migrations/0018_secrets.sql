-- Secrets of instances, sealed under the host key: one for each secret field that has a value.
CREATE TABLE instance_secrets (
    instance_id TEXT NOT NULL REFERENCES instances (id),
    field TEXT NOT NULL,
    sealed_secret BLOB NOT NULL,
    PRIMARY KEY (instance_id, field)
);

-- Digests of the secrets, under the host key; what changed of them, and what a change of each field means. NULL: saved
-- by a host that did not write it down.
ALTER TABLE instances ADD COLUMN secrets TEXT NOT NULL DEFAULT '{}';
ALTER TABLE instance_history ADD COLUMN secret_changes TEXT NOT NULL DEFAULT '{}';
ALTER TABLE instance_history ADD COLUMN roles TEXT;

-- The fields whose values were typed as addresses, so that no text becomes one. NULL: saved by such a host.
ALTER TABLE instances ADD COLUMN url_fields TEXT;

-- The fields that a plugin says are harmless in a recording.
ALTER TABLE plugins ADD COLUMN harmless TEXT NOT NULL DEFAULT '{"requests":[],"answers":[]}';

-- The states of a license in words that are no vendor's.
UPDATE assets SET license_token_status = 'unused' WHERE license_token_status = 'activated';
UPDATE assets SET license_token_status = 'used' WHERE license_token_status = 'redeemed';
UPDATE assets SET license_token_status = 'returned' WHERE license_token_status = 'return_accepted';
