-- What has ended badly or stands still, until it is over or somebody has acknowledged it. Written in the transaction of what is told.
CREATE TABLE alerts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    -- The id of the asset, e-mail or instance. A subject has at most one open alert of a kind.
    subject TEXT NOT NULL,
    instance_id TEXT NOT NULL REFERENCES instances (id),
    -- NULL: the whole instance is concerned.
    asset_id TEXT REFERENCES assets (id),
    problem TEXT,
    raised_at_ms BIGINT NOT NULL,
    -- NULL: it is not over.
    ended_at_ms BIGINT,
    -- NULL: nobody has acknowledged it.
    acknowledged_at_ms BIGINT,
    acknowledged_by TEXT
);

CREATE UNIQUE INDEX open_alerts ON alerts (kind, subject) WHERE ended_at_ms IS NULL AND acknowledged_at_ms IS NULL;

-- Alerts of what was refused or had failed before there were alerts.
INSERT INTO alerts (kind, subject, instance_id, asset_id, problem, raised_at_ms)
SELECT 'license-refused', assets.id, assets.instance_id, assets.id, NULL, assets.created_at_ms
FROM assets WHERE assets.sync_status = 'failed';

INSERT INTO alerts (kind, subject, instance_id, asset_id, problem, raised_at_ms)
SELECT 'mail-failed', mails.id, assets.instance_id, assets.id, mails.problem, mails.created_at_ms
FROM mails JOIN assets ON assets.id = mails.asset_id WHERE mails.state = 'failed';

INSERT INTO alerts (kind, subject, instance_id, asset_id, problem, raised_at_ms)
SELECT 'license-overdue', id, instance_id, id, NULL, created_at_ms
FROM assets WHERE sync_status = 'unsynchronised' AND overdue_told;

INSERT INTO alerts (kind, subject, instance_id, asset_id, problem, raised_at_ms)
SELECT 'returned-elsewhere', id, instance_id, id, NULL, created_at_ms
FROM assets WHERE status = 'active' AND return_status = 'successful';

INSERT INTO alerts (kind, subject, instance_id, asset_id, problem, raised_at_ms)
SELECT 'return-refused', assets.id, assets.instance_id, assets.id, NULL, MAX(cancellations.requested_at_ms)
FROM cancellations JOIN assets ON assets.id = cancellations.asset_id
WHERE cancellations.state = 'refused' AND assets.status = 'active'
GROUP BY assets.id;

INSERT INTO alerts (kind, subject, instance_id, asset_id, problem, raised_at_ms)
SELECT 'second-license', assets.id, assets.instance_id, assets.id, outcomes.problem, MAX(outcomes.happened_at_ms)
FROM outcomes JOIN assets ON assets.id = outcomes.asset_id
WHERE outcomes.kind = 'second-license'
GROUP BY assets.id;
