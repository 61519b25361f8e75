-- What whoever writes locks first, where many hosts have the record.
CREATE TABLE turn (
    id BIGINT PRIMARY KEY NOT NULL CHECK (id = 1),
    -- How many acts were ever written, which is the number of the last one.
    acts BIGINT NOT NULL
);
INSERT INTO turn (id, acts) VALUES (1, COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'acts'), 0));
