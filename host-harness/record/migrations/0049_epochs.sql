-- In which of its lives a database on a server is: another one where it may have forgotten what it had said was written, as after a failover.
-- NULL: a file has the record, or nothing was written yet.
ALTER TABLE turn ADD COLUMN epoch TEXT;
-- How many dispatches the record had counted when the epoch began.
ALTER TABLE turn ADD COLUMN begun_at_sequence BIGINT NOT NULL DEFAULT 0;
-- The name of the machine that a worker runs on.
ALTER TABLE workers ADD COLUMN machine TEXT;
-- The version of the program that a worker is of.
ALTER TABLE workers ADD COLUMN version TEXT;
