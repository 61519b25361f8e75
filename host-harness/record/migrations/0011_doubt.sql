-- Times that no stepped clock can bend: the boot of the machine, and the time since it began.
ALTER TABLE attempts ADD COLUMN boot TEXT;
ALTER TABLE attempts ADD COLUMN begun_uptime_ms BIGINT;
ALTER TABLE attempts ADD COLUMN finished_uptime_ms BIGINT;
ALTER TABLE return_attempts ADD COLUMN boot TEXT;
ALTER TABLE return_attempts ADD COLUMN begun_uptime_ms BIGINT;
ALTER TABLE return_attempts ADD COLUMN finished_uptime_ms BIGINT;
ALTER TABLE orders ADD COLUMN boot TEXT;
ALTER TABLE orders ADD COLUMN placed_uptime_ms BIGINT;
ALTER TABLE workers ADD COLUMN boot TEXT;
ALTER TABLE workers ADD COLUMN lease_ends_uptime_ms BIGINT;
ALTER TABLE workers DROP COLUMN expires_at_ms;
ALTER TABLE services_runs ADD COLUMN lease_boot TEXT;
ALTER TABLE services_runs ADD COLUMN lease_ends_uptime_ms BIGINT;

-- What this record is, and where it was last opened. One row.
CREATE TABLE provenance (
    id BIGINT PRIMARY KEY NOT NULL CHECK (id = 1),
    record TEXT NOT NULL,
    -- Grows with everything that is done towards the outside. The file beside the database has it too.
    sequence BIGINT NOT NULL,
    -- Since when everything that was done is on this record.
    remembers_since_ms BIGINT NOT NULL,
    -- NULL: not known.
    machine TEXT,
    file TEXT,
    -- When this copy was made by a backup. NULL: it is no backup.
    backup_at_ms BIGINT,
    -- When it was last found to be restored. NULL: never.
    restored_at_ms BIGINT,
    boot TEXT,
    restored_uptime_ms BIGINT,
    -- Whether another copy may go on with what is in doubt.
    awaits_adoption BOOLEAN NOT NULL DEFAULT FALSE
);

-- The times at which the record was found to be restored, copied or moved.
CREATE TABLE restorations (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    noticed_at_ms BIGINT NOT NULL,
    evidence TEXT NOT NULL,
    order_lines BIGINT NOT NULL,
    returns BIGINT NOT NULL,
    mails BIGINT NOT NULL
);
