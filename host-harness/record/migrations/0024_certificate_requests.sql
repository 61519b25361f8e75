-- Keys that were made in the host for certificates that somebody else issues, until these are imported. A request goes by the SHA-1 of
-- its public key, as a certificate goes by its own.
CREATE TABLE certificate_requests (
    owner TEXT NOT NULL,
    public_key TEXT NOT NULL,
    request BLOB NOT NULL,
    sealed_private_key BLOB NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (owner, public_key)
);
