-- Files that are not to be had any more. kind: 0 removed, 1 quarantined, 2 upstream's file host lacks it.
-- version: of a release's quarantine. serial: of the event. until: Unix seconds; NULL is for good.
CREATE TABLE tombstones (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    project TEXT NOT NULL,
    filename TEXT NOT NULL,
    version TEXT,
    kind INTEGER NOT NULL,
    reason TEXT NOT NULL,
    serial INTEGER,
    until INTEGER
) STRICT;
CREATE INDEX tombstones_project ON tombstones (project, filename);

-- Kept bytes that have to go. repair: 1 if they are to be fetched again.
CREATE TABLE doomed (sha256 BLOB PRIMARY KEY, repair INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- Announced files that are to be fetched in advance, and when. due: Unix seconds.
CREATE TABLE prefetch (
    id INTEGER PRIMARY KEY,
    project TEXT NOT NULL,
    filename TEXT NOT NULL,
    version TEXT,
    serial INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due INTEGER NOT NULL,
    UNIQUE (project, filename)
) STRICT;
CREATE INDEX prefetch_due ON prefetch (due);
