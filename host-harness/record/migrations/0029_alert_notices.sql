-- Alerts about the whole host, which no instance has: their column is NULL.
CREATE TABLE new_alerts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    -- The id of the asset, e-mail or instance; of the host, the word for its part. A subject has at most one open alert of a kind.
    subject TEXT NOT NULL,
    -- NULL: the whole host is concerned.
    instance_id TEXT REFERENCES instances (id),
    -- NULL: the whole instance or host is concerned.
    asset_id TEXT REFERENCES assets (id),
    problem TEXT,
    raised_at_ms BIGINT NOT NULL,
    -- NULL: it is not over.
    ended_at_ms BIGINT,
    -- NULL: nobody has acknowledged it.
    acknowledged_at_ms BIGINT,
    acknowledged_by TEXT
);
INSERT INTO new_alerts SELECT number, kind, subject, instance_id, asset_id, problem, raised_at_ms, ended_at_ms, acknowledged_at_ms,
    acknowledged_by FROM alerts;
DROP TABLE alerts;
ALTER TABLE new_alerts RENAME TO alerts;
CREATE UNIQUE INDEX open_alerts ON alerts (kind, subject) WHERE ended_at_ms IS NULL AND acknowledged_at_ms IS NULL;

-- Who is told of alerts by e-mail. One row, or none: nobody is.
CREATE TABLE alert_settings (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- A list of e-mail addresses as JSON.
    emails TEXT NOT NULL,
    saved_at_ms BIGINT NOT NULL
);

-- Alerts that go out, each in each way until somebody was told once.
CREATE TABLE alert_notices (
    alert INTEGER NOT NULL REFERENCES alerts (number),
    channel TEXT NOT NULL,
    tries INTEGER NOT NULL,
    -- Until then it is a worker's that tries, or rests.
    next_try_at_ms BIGINT NOT NULL,
    -- NULL: nobody was told yet.
    told_at_ms BIGINT,
    PRIMARY KEY (alert, channel)
) WITHOUT ROWID;

-- What a worker is, for the operator.
ALTER TABLE workers ADD COLUMN process_id BIGINT;
ALTER TABLE workers ADD COLUMN started_at_ms BIGINT;
