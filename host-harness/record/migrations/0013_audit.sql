-- The digest of an act and of all before it: an act that is removed or altered shows. NULL: the act is older than this column,
-- and the digest of the first act that has one covers it.
ALTER TABLE acts ADD COLUMN digest TEXT;
