-- People who sign in at the console. A password is not on record, only what it is checked by.
CREATE TABLE operators (
    id TEXT PRIMARY KEY NOT NULL,
    -- Never used again: acts on record name an operator by it.
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    -- Whether the operator may be shown product keys.
    may_reveal BIGINT NOT NULL,
    -- The Argon2id hash of the password, as a PHC string. NULL: none was chosen yet.
    password_hash TEXT,
    -- SHA-256 of the code with which a password is chosen, once. NULL: there is none.
    invitation_digest BLOB,
    invited_until_ms BIGINT,
    created_at_ms BIGINT NOT NULL,
    -- NULL: the operator may sign in.
    disabled_at_ms BIGINT
);
-- Sessions of operators, until they end or are too old.
CREATE TABLE operator_sessions (
    id TEXT PRIMARY KEY NOT NULL,
    operator_id TEXT NOT NULL REFERENCES operators (id),
    -- SHA-256 of what the browser shows.
    digest BLOB NOT NULL UNIQUE,
    begun_at_ms BIGINT NOT NULL,
    used_at_ms BIGINT NOT NULL,
    -- The address that the operator signed in from, and what the browser said of itself.
    address TEXT NOT NULL,
    agent TEXT NOT NULL
);
CREATE INDEX operator_sessions_by_operator ON operator_sessions (operator_id, begun_at_ms);
