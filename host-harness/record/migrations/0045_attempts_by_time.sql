-- What became of attempts, by their time: everything that is asked of it is in the index.
CREATE INDEX attempts_by_time ON attempts (begun_at_ms, result, finished_at_ms);
