-- Who did what. An act is written in the transaction that it is about. AUTOINCREMENT, so that no number is used twice; what
-- PostgreSQL has instead is GENERATED ALWAYS AS IDENTITY.
CREATE TABLE acts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    act TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- NULL: the subject is the host's.
    instance_id TEXT REFERENCES instances (id),
    -- JSON without secrets. NULL: the act says it all.
    detail TEXT
);

CREATE INDEX acts_by_subject ON acts (subject, subject_kind, number);

-- What kind of somebody saved. Before, only operators could.
ALTER TABLE instance_history ADD COLUMN changed_by_kind TEXT NOT NULL DEFAULT 'operator';
