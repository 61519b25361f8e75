-- The address that an e-mail was sent to, whatever is corrected since. NULL: it was not sent, or before this was on record.
ALTER TABLE mails ADD COLUMN sent_to TEXT;
