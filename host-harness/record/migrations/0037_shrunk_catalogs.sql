-- The most of what is on sale, in percent, that a run of Get Services Definition discontinues without being told to.
ALTER TABLE instances ADD COLUMN discontinue_percent BIGINT NOT NULL DEFAULT 10;

-- The run that awaited acceptance, and whose discontinuations this one may make. NULL: none.
ALTER TABLE services_runs ADD COLUMN accepts TEXT;
