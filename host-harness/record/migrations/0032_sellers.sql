-- Who sells at an instance, as e-mails say it.
CREATE TABLE sellers (
    -- The instance. No reference: a seller is nothing that an instance is kept for.
    instance_id TEXT PRIMARY KEY NOT NULL,
    -- JSON.
    seller TEXT NOT NULL
);
