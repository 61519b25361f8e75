-- What an operator may change of an instance that is there.

-- The name that it was made with, of which the ids of its orders are made. NULL: it still has that name.
ALTER TABLE instances ADD COLUMN first_name TEXT;

-- Since when it takes no orders and buys nothing. NULL: it sells.
ALTER TABLE instances ADD COLUMN disabled_at_ms BIGINT;

-- No two instances of an owner make ids of the same name.
CREATE UNIQUE INDEX instances_by_first_name ON instances (owner, COALESCE(first_name, name));

-- What a save changed beside the fields: options, the currency, the trusted authorities, the allowed networks. NULL: nothing.
ALTER TABLE instance_history ADD COLUMN other_changes TEXT;
