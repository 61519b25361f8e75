-- Whose instances and certificates are, where one host serves many tenants. Empty: the operator's own, as all were before.
-- Names of instances are unique for each owner, and so are certificates, so that nobody learns from a refusal what others have.

-- A key of SQLite's can't be altered: its tables are made anew, each under its own name, because a rename would rewrite what
-- refers to it. References to rows that are away meanwhile count at the end.
PRAGMA defer_foreign_keys = ON;

-- So that the references of acts are found at once.
CREATE INDEX acts_by_instance ON acts (instance_id, number);

CREATE TABLE former_instances AS SELECT * FROM instances;
CREATE TABLE former_certificates AS SELECT * FROM certificates;
CREATE TABLE former_certificate_chains AS SELECT * FROM certificate_chains;
DROP TABLE instances;
DROP TABLE certificate_chains;
DROP TABLE certificates;

CREATE TABLE certificates (
    owner TEXT NOT NULL,
    thumbprint TEXT NOT NULL,
    certificate BLOB NOT NULL,
    sealed_private_key BLOB NOT NULL,
    imported_at_ms BIGINT NOT NULL,
    PRIMARY KEY (owner, thumbprint)
);
INSERT INTO certificates (owner, thumbprint, certificate, sealed_private_key, imported_at_ms)
SELECT '', thumbprint, certificate, sealed_private_key, imported_at_ms FROM former_certificates;

CREATE TABLE certificate_chains (
    owner TEXT NOT NULL,
    thumbprint TEXT NOT NULL,
    position BIGINT NOT NULL,
    certificate BLOB NOT NULL,
    PRIMARY KEY (owner, thumbprint, position),
    FOREIGN KEY (owner, thumbprint) REFERENCES certificates (owner, thumbprint) ON DELETE CASCADE
);
INSERT INTO certificate_chains (owner, thumbprint, position, certificate)
SELECT '', thumbprint, position, certificate FROM former_certificate_chains;

CREATE TABLE instances (
    id TEXT PRIMARY KEY NOT NULL,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    currency TEXT NOT NULL,
    options TEXT NOT NULL,
    reach TEXT NOT NULL,
    standing TEXT NOT NULL,
    version BIGINT NOT NULL,
    settings TEXT NOT NULL,
    authorities TEXT NOT NULL,
    thumbprint TEXT,
    services_entity_tag TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    plugin TEXT,
    secrets TEXT NOT NULL DEFAULT '{}',
    url_fields TEXT,
    UNIQUE (owner, name),
    -- The database itself refuses an instance the certificate of another owner.
    FOREIGN KEY (owner, thumbprint) REFERENCES certificates (owner, thumbprint)
);
INSERT INTO instances (id, owner, name, currency, options, reach, standing, version, settings, authorities, thumbprint,
                       services_entity_tag, created_at_ms, plugin, secrets, url_fields)
SELECT id, '', name, currency, options, reach, standing, version, settings, authorities, thumbprint,
       services_entity_tag, created_at_ms, plugin, secrets, url_fields FROM former_instances;

CREATE INDEX instances_by_thumbprint ON instances (owner, thumbprint);

DROP TABLE former_instances;
DROP TABLE former_certificates;
DROP TABLE former_certificate_chains;
