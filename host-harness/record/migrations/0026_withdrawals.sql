-- When an operator asked for a line in doubt to be withdrawn: it is only looked up since, and withdrawn once it is certain
-- that it was not bought. NULL: nobody asked, or somebody has tried to buy it again since.
ALTER TABLE assets ADD COLUMN withdrawal_asked_at_ms BIGINT;
