-- An order may have very many licenses: whether e-mails wait for the last one, and whether one is still being bought, is known in one
-- step.
CREATE INDEX mails_waiting ON mails (order_id) WHERE waits_for_order;
CREATE INDEX assets_open ON assets (order_id) WHERE sync_status = 'unsynchronised';
