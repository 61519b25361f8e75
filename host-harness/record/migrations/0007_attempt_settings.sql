-- The version of its instance's settings that an attempt was made with. NULL: not known, or an operator has said that it does
-- not matter.
ALTER TABLE attempts ADD COLUMN settings_version BIGINT;
