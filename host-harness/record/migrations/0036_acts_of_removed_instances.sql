-- An act is kept for good, also when its instance is removed: nothing refers to the instance any more.
CREATE TABLE new_acts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    act TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- NULL: the subject is the host's.
    instance_id TEXT,
    -- JSON without secrets. NULL: the act says it all.
    detail TEXT,
    -- As in the migration that added it. NULL: the act is older than that.
    digest TEXT
);
INSERT INTO new_acts (number, at_ms, actor_kind, actor_name, act, subject_kind, subject, instance_id, detail, digest)
SELECT number, at_ms, actor_kind, actor_name, act, subject_kind, subject, instance_id, detail, digest FROM acts;
DROP TABLE acts;
ALTER TABLE new_acts RENAME TO acts;
CREATE INDEX acts_by_subject ON acts (subject, subject_kind, number);
CREATE INDEX acts_by_instance ON acts (instance_id, number);
