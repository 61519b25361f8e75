-- Where the record was moved to, when, and what it had then, as JSON. NULL: it goes on here.
ALTER TABLE turn ADD COLUMN moved TEXT;
