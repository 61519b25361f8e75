-- The plugins that were let run, one after the other: the last one may run, and no other. A plugin that is trusted again has another row.
CREATE TABLE plugins (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256 TEXT NOT NULL,
    -- Where it was read from when it was trusted.
    path TEXT NOT NULL,
    trusted_by_kind TEXT NOT NULL,
    trusted_by TEXT NOT NULL,
    trusted_at_ms BIGINT NOT NULL
);

-- What a save led to beside its values: the servers and the certificate, and the plugin that judged it. Of saves from before, only the last
-- one's servers and certificate are known, because an instance has them still.
ALTER TABLE instance_history ADD COLUMN authorities TEXT;
ALTER TABLE instance_history ADD COLUMN thumbprint TEXT;
ALTER TABLE instance_history ADD COLUMN plugin TEXT;
UPDATE instance_history
SET authorities = (SELECT instances.authorities FROM instances WHERE instances.id = instance_history.instance_id),
    thumbprint = (SELECT instances.thumbprint FROM instances WHERE instances.id = instance_history.instance_id)
WHERE version = (SELECT instances.version FROM instances WHERE instances.id = instance_history.instance_id);
