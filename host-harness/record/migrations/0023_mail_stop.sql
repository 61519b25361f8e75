-- What is in the way of all e-mails, because it is about this host. No row: nothing is known to be.
CREATE TABLE mail_stop (
    kind TEXT PRIMARY KEY NOT NULL CHECK (kind = 'all'),
    problem TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    next_try_at_ms BIGINT NOT NULL
);
