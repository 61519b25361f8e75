-- E-mails that repeat one that was sent before: rows of their own, each naming the one that it repeats, and maybe another
-- recipient than the order's contact. An asset still has one e-mail of each kind that is no copy.

-- What is unique in a table can't be altered in SQLite, so that the table is made anew.
CREATE TABLE former_mails AS SELECT * FROM mails;
DROP TABLE mails;
CREATE TABLE mails (
    id TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    asset_id TEXT NOT NULL REFERENCES assets (id),
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    due_at_ms BIGINT NOT NULL,
    worker TEXT,
    problem TEXT,
    created_at_ms BIGINT NOT NULL,
    sent_at_ms BIGINT,
    message_id_domain TEXT,
    order_id TEXT NOT NULL DEFAULT '',
    position BIGINT NOT NULL DEFAULT 0,
    -- NULL: it repeats none.
    copy_of TEXT REFERENCES mails (id),
    -- The e-mail address. NULL: the contact of the order.
    recipient TEXT
);
INSERT INTO mails (id, kind, asset_id, state, attempts, due_at_ms, worker, problem, created_at_ms, sent_at_ms,
                   message_id_domain, order_id, position)
SELECT id, kind, asset_id, state, attempts, due_at_ms, worker, problem, created_at_ms, sent_at_ms,
       message_id_domain, order_id, position
FROM former_mails;
DROP TABLE former_mails;

CREATE UNIQUE INDEX mails_but_copies ON mails (kind, asset_id) WHERE copy_of IS NULL;
CREATE INDEX mails_due ON mails (state, due_at_ms);
CREATE INDEX mails_by_worker ON mails (worker);
CREATE INDEX mails_by_copy_of ON mails (copy_of) WHERE copy_of IS NOT NULL;
CREATE INDEX mails_by_time ON mails (created_at_ms, order_id, position, kind, id);
CREATE INDEX mails_by_state ON mails (state, created_at_ms, order_id, position, kind, id);
CREATE INDEX mails_by_order ON mails (order_id, created_at_ms, position, kind, id);
CREATE INDEX mails_by_asset ON mails (asset_id, created_at_ms, order_id, position, kind, id);
