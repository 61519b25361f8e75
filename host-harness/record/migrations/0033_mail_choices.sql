-- Which e-mails an instance sends besides those about licenses that were bought, and how many licenses one has.
CREATE TABLE mail_choices (
    -- The instance. No reference: a choice is nothing that an instance is kept for.
    instance_id TEXT PRIMARY KEY NOT NULL,
    -- Whether customers are told of returns and their credits.
    on_return BOOLEAN NOT NULL,
    -- Whether the licenses of an order are in one e-mail.
    per_order BOOLEAN NOT NULL
);

-- The e-mail with which others are one message, their first; NULL: it is a message of its own. Once a message may have been handed
-- over, it stays of the same ones.
ALTER TABLE mails ADD COLUMN sent_with TEXT;
-- Whether it waits for the other licenses of its order, until it is due at the latest.
ALTER TABLE mails ADD COLUMN waits_for_order BOOLEAN NOT NULL DEFAULT FALSE;

CREATE INDEX mails_by_message ON mails (sent_with) WHERE sent_with IS NOT NULL;
