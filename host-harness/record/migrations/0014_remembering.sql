-- How long everything that was done has been on this record, by the clock that nobody can set, and when that was last
-- counted.
ALTER TABLE provenance ADD COLUMN remembered_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE provenance ADD COLUMN counted_at_ms BIGINT;
ALTER TABLE provenance ADD COLUMN counted_boot TEXT;
ALTER TABLE provenance ADD COLUMN counted_uptime_ms BIGINT;
UPDATE provenance SET
    remembered_ms = MAX(0, CAST(strftime('%s', 'now') AS INTEGER) * 1000 - remembers_since_ms);
ALTER TABLE provenance DROP COLUMN remembers_since_ms;
-- The identity of the data directory. NULL: not known.
ALTER TABLE provenance ADD COLUMN directory TEXT;

-- A worker passes over the lines of instances that have their share, however many they are.
DROP INDEX assets_due;
CREATE INDEX assets_due ON assets (sync_status, due_at_ms, created_at_ms, position, instance_id);
