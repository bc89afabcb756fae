-- Which upstream the folder belongs to: one row, once a relay has opened it. identity: see model::UpstreamIdentity.
CREATE TABLE upstream_identity (one INTEGER PRIMARY KEY CHECK (one = 1), identity TEXT NOT NULL) STRICT;

-- By name: events that made, removed or hid releases. name: as in names. made: 1 if it made one.
CREATE TABLE releases (
    name INTEGER NOT NULL,
    serial INTEGER NOT NULL,
    made INTEGER NOT NULL,
    PRIMARY KEY (name, serial)
) STRICT, WITHOUT ROWID;
-- Events (after, upto] that are to be looked through for these yet.
CREATE TABLE releases_due (after INTEGER PRIMARY KEY, upto INTEGER NOT NULL) STRICT;
-- Each alone is found in an index; together they would be found by looking at every row.
INSERT INTO releases_due
SELECT (SELECT min(serial) FROM events) - 1, (SELECT max(serial) FROM events) WHERE EXISTS (SELECT 1 FROM events);
