-- The order in which assets are taken, so that the first few of many are found without sorting all.
DROP INDEX assets_due;
CREATE INDEX assets_due ON assets (sync_status, due_at_ms, created_at_ms, position);
