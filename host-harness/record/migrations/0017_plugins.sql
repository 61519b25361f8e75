-- The plugins that an operator has added, by the SHA-256 of their content, with what each says of itself. The content is kept here, so that
-- a backup has it and every host runs the same. Who trusted a plugin before is in `acts`.
DROP TABLE plugins;
CREATE TABLE plugins (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256 TEXT NOT NULL UNIQUE,
    -- Where it was read from when it was added.
    path TEXT NOT NULL,
    content BLOB NOT NULL,
    id TEXT NOT NULL,
    vendor TEXT NOT NULL,
    offering TEXT NOT NULL,
    version TEXT NOT NULL,
    options TEXT NOT NULL,
    correlation_headers TEXT NOT NULL,
    added_at_ms BIGINT NOT NULL,
    -- NULL: nobody has trusted it yet, and it does not run for an instance.
    trusted_by_kind TEXT,
    trusted_by TEXT,
    trusted_at_ms BIGINT
);

-- The plugin of an instance, by its SHA-256. NULL: none yet, until its settings are first saved.
ALTER TABLE instances ADD COLUMN plugin TEXT;
UPDATE instances SET plugin = (
    SELECT h.plugin FROM instance_history h WHERE h.instance_id = instances.id AND h.version = instances.version
);
