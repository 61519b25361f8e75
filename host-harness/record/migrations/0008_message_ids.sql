-- The right part of the Message-ID, from the first time that the mail was given to a server: whoever has two copies can tell.
ALTER TABLE mails ADD COLUMN message_id_domain TEXT;
