-- Projects whose last event was given a number above the serial that upstream states of them: an index that counts
-- several changes as one leaves derived events no room below it.
CREATE TABLE leads (project TEXT PRIMARY KEY, stated INTEGER NOT NULL, told INTEGER NOT NULL) STRICT, WITHOUT ROWID;
