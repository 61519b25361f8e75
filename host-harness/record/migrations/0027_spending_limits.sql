-- The most that an instance sells in a day (UTC), as the operator has set it: an amount, or units of products. No row: no limit.
CREATE TABLE spending_limits (
    instance_id TEXT PRIMARY KEY NOT NULL REFERENCES instances (id),
    currency TEXT,
    minor_units BIGINT,
    units BIGINT,
    CHECK ((minor_units IS NULL) = (currency IS NULL) AND (minor_units IS NULL) <> (units IS NULL))
);
