-- Upstream's answers to calls that are relayed, the last to each. argument: the call's arguments in one spelling.
-- size: of the body before compression. bytes: what the row weighs.
CREATE TABLE answers (
    id INTEGER PRIMARY KEY,
    method TEXT NOT NULL,
    argument TEXT NOT NULL,
    checked INTEGER NOT NULL,
    size INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (method, argument)
) STRICT;
CREATE INDEX answers_checked ON answers (checked);

-- The weight of all of them, so that nobody has to sum them up.
INSERT INTO facts VALUES ('answers_bytes', 0);
CREATE TRIGGER answer_in AFTER INSERT ON answers BEGIN
    UPDATE facts SET value = value + new.bytes WHERE name = 'answers_bytes';
END;
CREATE TRIGGER answer_out AFTER DELETE ON answers BEGIN
    UPDATE facts SET value = value - old.bytes WHERE name = 'answers_bytes';
END;
