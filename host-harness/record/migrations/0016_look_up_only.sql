-- How long a purchase or return in doubt is only looked up: one value for all processes.
ALTER TABLE provenance ADD COLUMN look_up_only_ms BIGINT NOT NULL DEFAULT 300000;
