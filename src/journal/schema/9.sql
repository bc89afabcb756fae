-- Upstream's position, apart from our own numbers.
-- Projects with events that an upstream which was restored from an older copy has lost, until it is told how they are
-- now. spelling: the last one.
CREATE TABLE lost (project TEXT PRIMARY KEY, spelling TEXT NOT NULL) STRICT, WITHOUT ROWID;
